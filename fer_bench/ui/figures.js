// Figures as files for a paper, from their own tool bars: SVG and PNG, a column wide, on white, with
// the facts that stand in the figure's `layout.meta` (as `fer_bench.report.figure_files` has them).
(() => {
  if (window.ferBenchFigures) return;
  window.ferBenchFigures = true;
  const COLUMN_MM = 89;
  const PNG_SCALE = 3;
  const GRID = "#e0e2e8";
  // What the page's own font is not: there where the file is opened, so that nothing is cut.
  const FAMILY = "Arial, Helvetica, sans-serif";
  const CAMERA = '.modebar-btn[data-title^="Download plot"]';
  let saving = null; // the figure and the kind of file, from the press of a button to its file

  const setFamily = (part) => {
    for (const [name, value] of Object.entries(part ?? {})) {
      if (typeof value !== "object") continue;
      if (/font$/.test(name)) value.family = FAMILY;
      else setFamily(value);
    }
  };

  const onPaper = (layout) => {
    const paper = structuredClone(layout);
    setFamily(paper);
    paper.font = { ...paper.font, family: FAMILY };
    paper.paper_bgcolor = paper.plot_bgcolor = "white";
    for (const axis of ["xaxis", "yaxis"]) {
      const own = paper.template?.layout?.[axis]; // the page's theme may be dark
      if (own) own.gridcolor = own.zerolinecolor = GRID;
    }
    return paper;
  };

  // Plotly copies the figure at once, draws the copy, and hands over its SVG as a link.
  const press = (graph, camera, kind) => {
    const page = graph.layout;
    saving = { graph, kind, own: true };
    graph.layout = onPaper(page);
    camera.click();
    graph.layout = page;
    saving.own = false;
  };

  const addButton = (event) => {
    const graph = event.target.closest?.(".js-plotly-plot");
    const camera = graph?.querySelector(CAMERA);
    if (!camera || camera.dataset.kind) return;
    const other = camera.cloneNode(true);
    [camera, other].forEach((button, number) => {
      const kind = ["svg", "png"][number];
      button.dataset.kind = kind;
      button.dataset.title = `Download plot as ${kind.toUpperCase()}`;
      button.setAttribute("aria-label", button.dataset.title);
      button.textContent = kind.toUpperCase();
      Object.assign(button.style, { fontSize: "11px", fontWeight: 600, width: "auto" });
    });
    camera.after(other);
  };

  const textChunk = (key, value) => {
    const latin = [...value].every((letter) => letter.charCodeAt(0) < 256);
    const bytes = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    if (latin) return chunk("tEXt", [bytes(`${key}\0${value}`)]);
    return chunk("iTXt", [bytes(`${key}\0\0\0\0\0`), new TextEncoder().encode(value)]);
  };

  const chunk = (kind, parts) => {
    const content = [new TextEncoder().encode(kind), ...parts].flatMap((part) => [...part]);
    let crc = ~0;
    for (const byte of content) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return Uint8Array.from([...number(content.length - 4), ...content, ...number(~crc)]);
  };

  const number = (value) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255);

  const toPng = async (drawing, width, height, facts) => {
    const image = new Image();
    image.src = `data:image/svg+xml,${encodeURIComponent(drawing)}`;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width * PNG_SCALE, height * PNG_SCALE];
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    const plain = await new Promise((done) => canvas.toBlob(done, "image/png"));
    const bytes = new Uint8Array(await plain.arrayBuffer());
    const perMetre = number(Math.round(canvas.width / (COLUMN_MM / 1000)));
    const said = Object.entries(facts).map(([key, value]) => textChunk(key, value));
    const head = 33; // the signature and the header
    const density = chunk("pHYs", [[...perMetre, ...perMetre, 1]]);
    return [bytes.slice(0, head), density, ...said, bytes.slice(head)];
  };

  const toSvg = (root, facts) => {
    const described = Object.entries(facts).map(([key, value]) => `${key}: ${value}`);
    const said = { title: facts.Title, desc: described.join("\n"), metadata: JSON.stringify(facts) };
    const elements = Object.entries(said).map(([tag, text]) => {
      const element = root.ownerDocument.createElementNS(root.namespaceURI, tag);
      element.textContent = text;
      return element;
    });
    root.prepend(...elements);
    root.setAttribute("width", `${COLUMN_MM}mm`);
    root.removeAttribute("height"); // the view box has the proportions
    return [new XMLSerializer().serializeToString(root)];
  };

  const save = async (drawing, { graph, kind }, name) => {
    const facts = graph.layout.meta;
    const root = new DOMParser().parseFromString(drawing, "image/svg+xml").documentElement;
    const [width, height] = ["width", "height"].map((side) => Number(root.getAttribute(side)));
    const parts =
      kind === "svg" ? toSvg(root, facts) : await toPng(drawing, width, height, facts);
    const type = kind === "svg" ? "image/svg+xml" : "image/png";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(parts, { type }));
    link.download = name.replace(/\.svg$/, `.${kind}`);
    link.click(); // not in the document, so that what follows does not see it
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  };

  const onClick = (event) => {
    const { target } = event;
    const button = target.closest?.(".modebar-btn[data-kind]");
    if (button && !saving?.own) {
      event.preventDefault();
      event.stopPropagation();
      const graph = button.closest(".js-plotly-plot");
      press(graph, graph.querySelector('[data-kind="svg"]'), button.dataset.kind);
    } else if (saving && target.download && target.href.startsWith("blob:")) {
      event.preventDefault();
      event.stopPropagation();
      const wanted = saving;
      saving = null;
      fetch(target.href)
        .then((found) => found.text())
        .then((drawing) => save(drawing, wanted, target.download));
    }
  };

  ["pointerover", "focusin"].forEach((kind) => document.addEventListener(kind, addButton));
  document.addEventListener("click", onClick, true);
})();
