// Tab passes by the tables whose names open runs. A table that gets the keyboard's focus chooses its
// first cell by itself, which no click has done: the page would be left for that run's.
(() => {
  if (window.ferBenchTables) return;
  window.ferBenchTables = true;
  let byKey = false;
  addEventListener("keydown", () => (byKey = true), true);
  addEventListener("pointerdown", () => (byKey = false), true);
  addEventListener(
    "focusin",
    (event) => {
      if (byKey && event.target.matches('[class*="st-key-opens-"] canvas')) {
        event.stopImmediatePropagation();
      }
    },
    true,
  );
})();
