"""What must stay true, room by room."""
