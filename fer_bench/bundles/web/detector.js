// The default face detector of FER Bench (`fer_bench/inference/haar.py`): OpenCV's cascade on a
// shrunk gray image. The page, the Python folder and `predict` find the same boxes.

import { Cascade } from "./cascade.js";
import { equalised, resizeArea, roundHalfEven, toGray, withBorder } from "./pixels.js";

export class HaarDetector {
  // cascade: what `cascade.json` holds; settings: the `detector` of `model.json`.
  constructor(cascade, settings) {
    this.cascade = new Cascade(cascade);
    this.settings = settings;
  }

  // Faces of an image as boxes { x, y, width, height } in its pixels, largest first.
  detect(image) {
    const set = this.settings;
    const { small, factor } = this.#shrunk(image);
    const gray = toGray(small);
    const longer = Math.max(gray.width, gray.height);
    const isCrop = longer <= set.crop_side;
    const isPhoto = Math.max(image.width, image.height) > set.frame_side;
    const border = isCrop ? roundHalfEven(longer * set.border) : 0;
    const boxes = this.cascade.detect(equalised(withBorder(gray, border)), {
      scaleFactor: isCrop || isPhoto ? set.fine_step : set.step,
      minNeighbors: isPhoto ? set.fine_neighbours : set.neighbours,
      minSize: set.min_face,
    });
    boxes.sort((a, b) => b.agreeing - a.agreeing);
    const scale = (value) => roundHalfEven(value * (1 / factor));
    const faces = boxes.map(({ x, y, width, height }) => ({
      x: scale(x - border), y: scale(y - border), width: scale(width), height: scale(height),
    }));
    return largestFirst(this.#withoutOverlaps(faces));
  }

  #shrunk(image) {
    const { shortest_shrunk, longest_shrunk } = this.settings;
    const longer = Math.max(image.width, image.height);
    const side = Math.min(Math.max(longer / 2, shortest_shrunk), longest_shrunk);
    const factor = side / longer;
    if (factor >= 1) return { small: image, factor: 1 };
    const width = Math.max(roundHalfEven(image.width * factor), 1);
    const height = Math.max(roundHalfEven(image.height * factor), 1);
    return { small: resizeArea(image, width, height), factor };
  }

  #withoutOverlaps(faces) {
    const chosen = [];
    for (const face of faces) {
      if (chosen.every((other) => overlap(face, other) <= this.settings.max_overlap)) {
        chosen.push(face);
      }
    }
    return chosen;
  }
}

// The area that two boxes share, as a share of the smaller one's.
function overlap(a, b) {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  const smaller = Math.min(a.width * a.height, b.width * b.height);
  return Math.max(width, 0) * Math.max(height, 0) / Math.max(smaller, 1);
}

function largestFirst(faces) {
  return faces.sort((a, b) => b.width * b.height - a.width * a.height || a.x - b.x || a.y - b.y);
}
