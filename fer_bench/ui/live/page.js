// Live's keys (q stop, s snapshot, f figures, m mirror), and the camera's errors in words.
(() => {
  const WORDS = {
    NotAllowedError:
      "The browser gives this page no camera: allow it with the icon next to the address, then press Start again.",
    NotFoundError: "No camera is connected: plug one in, then press Start again.",
    NotReadableError: "Another program has the camera: close it, then press Start again.",
    OverconstrainedError: "The camera gives no video of this size: choose another camera.",
    SecurityError: "Browsers give a page its camera only over https:// or on the machine itself.",
    Error: "This browser gives the page no camera: open it over https:// or on the machine itself.",
  };
  const LINKS = " The links below need none.";
  const SWITCHES = { s: ".st-key-live-snapshot button", f: ".st-key-live-figures input", m: ".st-key-live-mirror input" };
  const frame = () => document.querySelector('iframe[title*="webrtc"]');
  const inside = () => frame()?.contentDocument;

  const explain = () => {
    const message = inside().querySelector('[role="alert"] .MuiAlert-message');
    const [name, ...rest] = message?.childNodes ?? [];
    if (!rest.length) return; // an error is "NotAllowedError", ": ", "Permission denied"
    if (/^\w+$/.test(name.data)) {
      name.data = WORDS[name.data] ?? `The camera cannot be opened (${name.data}): try another one.`;
    }
    rest.forEach((node, i) => (node.data = i ? "" : LINKS));
  };

  // The component does not shrink by itself: after an error's end, or beside a phone's numbers.
  const fit = () => {
    frame().style.height = `${inside().body.offsetHeight}px`;
  };

  const press = (event) => {
    const typing = event.target.closest?.('textarea, select, [contenteditable], input:not([type="checkbox"])');
    if (typing || event.repeat || event.ctrlKey || event.metaKey || event.altKey || !frame()) return;
    const key = event.key.toLowerCase();
    if (key === "q") {
      [...inside().querySelectorAll("button")].find((button) => /^stop$/i.test(button.textContent))?.click();
    }
    document.querySelector(SWITCHES[key])?.click();
  };

  window.ferBenchLive?.();
  const timer = setInterval(() => {
    if (!inside()?.body) return;
    explain();
    fit();
    inside().onkeydown = press; // it has the keys once Start was clicked
  }, 250);
  document.addEventListener("keydown", press);
  window.ferBenchLive = () => {
    clearInterval(timer);
    document.removeEventListener("keydown", press);
  };
})();
