// Draws what the worker found: boxes over the picture, bars beneath it.

const likeliest = (probabilities) => probabilities.indexOf(Math.max(...probabilities));
const percent = (value) => `${Math.round(value * 100)} %`;

// Boxes with the likeliest emotion on `canvas`, which lies over a picture of width x height.
export function drawFaces(canvas, faces, model, { width, height, isMirrored }) {
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  const unit = width / (canvas.clientWidth || width); // a pixel of the screen
  context.lineWidth = 3 * unit;
  context.font = `600 ${16 * unit}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  faces.forEach(({ box, probabilities }, i) => {
    const best = likeliest(probabilities);
    const colour = model.colours[model.emotions[best]] ?? "#5b73e8";
    const left = isMirrored ? width - box.x - box.width : box.x;
    context.strokeStyle = context.fillStyle = colour;
    context.strokeRect(left, box.y, box.width, box.height);
    const number = faces.length > 1 ? `${i + 1} ` : "";
    const text = `${number}${model.emotions[best]} ${percent(probabilities[best])}`;
    const wide = context.measureText(text).width + 12 * unit, tall = 24 * unit;
    const x = Math.min(Math.max(left, 0), Math.max(width - wide, 0));
    const y = Math.max(box.y - tall, 0);
    context.fillRect(x, y, wide, tall);
    context.fillStyle = "#000";
    context.fillText(text, x + 6 * unit, y + tall / 2);
  });
}

// A list item per face with a bar per emotion.
export function showFaces(list, faces, model) {
  while (list.children.length > faces.length) list.lastChild.remove();
  faces.forEach(({ probabilities }, i) => {
    const item = list.children[i] ?? list.appendChild(newItem(model));
    const best = model.emotions[likeliest(probabilities)];
    const name = faces.length > 1 ? `Face ${i + 1}: ${best}` : best;
    item.dataset.emotion = best;
    item.querySelector("h2").textContent = name;
    item.querySelectorAll(".bar").forEach((bar, c) => {
      bar.querySelector("meter").value = probabilities[c];
      bar.lastChild.textContent = percent(probabilities[c]);
    });
  });
}

function newItem(model) {
  const item = document.createElement("li");
  item.append(document.createElement("h2"));
  for (const emotion of model.emotions) {
    const bar = document.createElement("div");
    bar.className = "bar";
    const name = document.createElement("span"), meter = document.createElement("meter");
    name.textContent = emotion;
    meter.ariaLabel = emotion;
    bar.append(name, meter, document.createElement("span"));
    item.append(bar);
  }
  return item;
}
