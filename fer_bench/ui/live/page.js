// Live's keys (q stop, s snapshot, f figures, m mirror), and the camera's errors in words.
(() => {
  const WORDS = {
    NotAllowedError:
      "The browser gives this page no camera: allow it with the icon beside the address, then press Start again.",
    NotFoundError:
      "No camera is connected: plug one in and press Start again, or use the links below.",
    NotReadableError: "Another program has the camera: close it, then press Start again.",
    OverconstrainedError: "The camera gives no video of this size: choose another camera.",
    SecurityError: "Browsers give a page its camera only over https:// or on the machine itself.",
    Error: "This browser gives the page no camera: open it over https:// or on the machine itself.",
  };
  const SWITCHES = { s: ".st-key-live-snapshot button", f: ".st-key-live-figures input", m: ".st-key-live-mirror input" };
  const frame = () => document.querySelector('iframe[title*="webrtc"]');
  const inside = () => frame()?.contentDocument;

  const explain = () => {
    const message = inside()?.querySelector('[role="alert"] .MuiAlert-message');
    if (!message) return;
    const [first, ...rest] = message.childNodes;
    const sentence = WORDS[first.nodeValue];
    if (!sentence) return;
    first.nodeValue = sentence;
    rest.forEach((node) => (node.nodeValue = ""));
    frame().style.height = `${inside().body.scrollHeight}px`;
  };

  const press = (event) => {
    const typing = event.target.closest?.('textarea, select, [contenteditable], input:not([type="checkbox"])');
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !frame()) return;
    if (event.key === "q") {
      [...inside().querySelectorAll("button")].find((button) => /^stop$/i.test(button.textContent))?.click();
    }
    document.querySelector(SWITCHES[event.key])?.click();
  };

  window.ferBenchLive?.();
  const timer = setInterval(() => {
    explain();
    if (inside()) inside().onkeydown = press; // it has the keys once Start was clicked
  }, 250);
  document.addEventListener("keydown", press);
  window.ferBenchLive = () => {
    clearInterval(timer);
    document.removeEventListener("keydown", press);
  };
})();
