"""What ships with the package and is made by a command: records, figures of networks, pictures."""
