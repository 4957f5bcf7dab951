// What moves in a figure plays once, pauses, and goes step by step, forward and back; who wants less
// motion is offered the steps alone. The last frame is what stays, and what is printed.

const MOTION = `
button:disabled { cursor: not-allowed; opacity: 0.45; }
@media (prefers-reduced-motion: reduce) { .play { display: none; } }
`;

/** Milliseconds for a frame, so that all of them take a quarter of a minute at most. */
const pace = (count) => Math.max(100, Math.min(700, 15000 / count));

/**
 * Buttons for the frames 0 to `count() - 1`; `show(frame, playing)` draws one, and `spoken`, a
 * live region, falls silent while they play. `frame` can be set from outside, `stop` and `disable` too.
 */
const animation = (host, spoken, count, show) => {
  let timer = null;
  const button = (name, pressed, look = "") => {
    const made = element("button", { type: "button", class: look }, name);
    made.addEventListener("click", pressed);
    return made;
  };
  const go = (frame) => {
    player.frame = (frame + count()) % count();
    show(player.frame, timer !== null);
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
    spoken.setAttribute("aria-live", "polite");
  };
  const tick = () => {
    if (host.isConnected) go(player.frame + 1);
    if (!host.isConnected || player.frame === count() - 1) stop();
  };
  const start = () => {
    play.textContent = "Pause";
    spoken.setAttribute("aria-live", "off"); // a voice could not keep up
    timer = setInterval(tick, pace(count()));
    go(player.frame === count() - 1 ? 0 : player.frame);
  };
  const step = (by) => {
    stop();
    go(player.frame + by);
  };
  const back = button("Back", () => step(-1));
  const forth = button("Step", () => step(1));
  const play = button("Play", () => (timer === null ? start() : stop()), "play");
  const player = {
    frame: 0,
    stop,
    controls: element("div", { class: "row" }, back, forth, play),
    disable: (disabled) => [back, forth, play].forEach((each) => { each.disabled = disabled; }),
  };
  stop();
  return player;
};
