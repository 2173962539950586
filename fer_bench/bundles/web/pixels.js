// Images as { width, height, channels, data }: rows of bytes, RGB or gray; and what OpenCV does
// with them before it looks for faces, to the same bytes.

const fround = Math.fround;

// As `cvRound` and Python's `round`: halves go to the even neighbour.
export function roundHalfEven(value) {
  const floor = Math.floor(value), rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

// Of a number that is not negative.
function toByte(value) {
  const floor = value | 0, rest = value - floor;
  return Math.min(rest > 0.5 || (rest === 0.5 && floor & 1) ? floor + 1 : floor, 255);
}

// A canvas's ImageData, whose pixels are opaque, as RGB.
export function fromImageData({ width, height, data }) {
  const rgb = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    rgb[to++] = data[from];
    rgb[to++] = data[from + 1];
    rgb[to++] = data[from + 2];
  }
  return { width, height, channels: 3, data: rgb };
}

// `cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)`.
export function toGray({ width, height, channels, data }) {
  if (channels === 1) return { width, height, channels, data };
  const gray = new Uint8Array(width * height);
  for (let i = 0, at = 0; i < gray.length; i++, at += 3) {
    gray[i] = (9798 * data[at] + 19235 * data[at + 1] + 3735 * data[at + 2] + 16384) >> 15;
  }
  return { width, height, channels: 1, data: gray };
}

// A part of a gray image, as far as the image reaches; `right` and `bottom` are not in it.
export function cut(image, left, top, right, bottom) {
  const width = Math.min(right, image.width) - left, height = Math.min(bottom, image.height) - top;
  const out = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const from = (top + y) * image.width + left;
    out.set(image.data.subarray(from, from + width), y * width);
  }
  return { width, height, channels: 1, data: out };
}

// `cv2.copyMakeBorder` on each side of a gray image, the edges repeated.
export function withBorder({ width, height, data }, border) {
  if (!border) return { width, height, channels: 1, data };
  const wide = width + 2 * border, tall = height + 2 * border;
  const out = new Uint8Array(wide * tall);
  for (let y = 0, to = 0; y < tall; y++) {
    const row = width * Math.min(Math.max(y - border, 0), height - 1);
    for (let x = 0; x < wide; x++) out[to++] = data[row + Math.min(Math.max(x - border, 0), width - 1)];
  }
  return { width: wide, height: tall, channels: 1, data: out };
}

// `cv2.equalizeHist` of a gray image.
export function equalised({ width, height, data }) {
  const counts = new Int32Array(256);
  for (let i = 0; i < data.length; i++) counts[data[i]]++;
  const first = counts.findIndex((count) => count > 0);
  if (counts[first] === data.length) return { width, height, channels: 1, data };
  const scale = fround(255 / (data.length - counts[first]));
  const table = new Uint8Array(256);
  for (let value = first + 1, sum = 0; value < 256; value++) {
    sum += counts[value];
    table[value] = toByte(fround(sum * scale));
  }
  const out = new Uint8Array(data.length);
  for (let i = 0; i < out.length; i++) out[i] = table[data[i]];
  return { width, height, channels: 1, data: out };
}

// A gray image equalised with no value counting for more than a share of the average one: a wall of
// one colour takes no contrast from the face before it.
export function spreadEvenly({ width, height, data }, share) {
  const counts = new Int32Array(256), steps = new Float64Array(256);
  for (let i = 0; i < data.length; i++) counts[data[i]]++;
  for (let value = 0, sum = 0; value < 256; value++) {
    sum += Math.min(counts[value], share * data.length / 256);
    steps[value] = sum;
  }
  const scale = 255 / Math.max(steps[255] - steps[0], 1);
  const table = Uint8Array.from(steps, (step) => toByte((step - steps[0]) * scale));
  const out = new Uint8Array(data.length);
  for (let i = 0; i < out.length; i++) out[i] = table[data[i]];
  return { width, height, channels: 1, data: out };
}

// Affine matrices are [a, b, c, d, e, f]: x' = ax + by + c, y' = dx + ey + f.

// `cv2.getRotationMatrix2D((x, y), degrees, 1)`.
export function rotation(x, y, degrees) {
  const angle = degrees * (Math.PI / 180), cosine = Math.cos(angle), sine = Math.sin(angle);
  return [
    cosine, sine, (1 - cosine) * x - sine * y, -sine, cosine, sine * x + (1 - cosine) * y,
  ];
}

// `cv2.invertAffineTransform`.
export function inverse([a, b, c, d, e, f]) {
  const scale = 1 / (a * e - b * d);
  const p = e * scale, q = -b * scale, r = -d * scale, s = a * scale;
  return [p, q, -p * c - q * f, r, s, -r * c - s * f];
}

// `cv2.warpAffine` bilinear, in its fixed point, the edges repeated. back: from its result's pixels
// to those of the image.
export function warp(image, back, width, height) {
  const { channels, data } = image, right = image.width - 1, bottom = image.height - 1;
  const fixed = (value) => roundHalfEven(value * 1024);
  const columns = Array.from({ length: width }, (_, x) => [fixed(back[0] * x), fixed(back[3] * x)]);
  const at = (x, y) => channels
    * (Math.min(Math.max(y, 0), bottom) * image.width + Math.min(Math.max(x, 0), right));
  const out = new Uint8Array(channels * width * height);
  for (let y = 0, to = 0; y < height; y++) {
    const startX = fixed(back[1] * y + back[2]) + 16, startY = fixed(back[4] * y + back[5]) + 16;
    for (let x = 0; x < width; x++) {
      const placeX = (startX + columns[x][0]) >> 5, placeY = (startY + columns[x][1]) >> 5;
      const left = placeX >> 5, top = placeY >> 5, a = placeX & 31, b = placeY & 31;
      const p = at(left, top), q = at(left + 1, top);
      const r = at(left, top + 1), s = at(left + 1, top + 1);
      for (let c = 0; c < channels; c++) {
        const sum = (32 - b) * ((32 - a) * data[p + c] + a * data[q + c])
          + b * ((32 - a) * data[r + c] + a * data[s + c]);
        out[to++] = (sum + 512) >> 10;
      }
    }
  }
  return { width, height, channels, data: out };
}

// `cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)` of a gray image.
export function resizeLinear(image, width, height) {
  const xs = linearTable(image.width, width), ys = linearTable(image.height, height);
  const rows = new Map(); // of the image, at the new width
  const wide = (y) => {
    if (!rows.has(y)) {
      if (rows.size === 2) rows.delete(rows.keys().next().value);
      rows.set(y, blendedRow(image, y, xs));
    }
    return rows.get(y);
  };
  const out = new Uint8Array(width * height);
  for (let y = 0, to = 0; y < height; y++) {
    const upper = wide(ys.first[y]), lower = wide(ys.second[y]);
    const b = ys.weight[y], a = 256 - b;
    for (let x = 0; x < width; x++) out[to++] = (a * upper[x] + b * lower[x] + 32768) >> 16;
  }
  return { width, height, channels: 1, data: out };
}

function blendedRow({ width, data }, y, { first, second, weight }) {
  const start = y * width, out = new Uint16Array(first.length);
  for (let x = 0; x < out.length; x++) {
    out[x] = (256 - weight[x]) * data[start + first[x]] + weight[x] * data[start + second[x]];
  }
  return out;
}

// For each of `to` pixels the two of `from` that it lies between, and the second's weight in 1/256.
function linearTable(from, to) {
  const scale = 1 / (to / from);
  const first = new Int32Array(to), second = new Int32Array(to), weight = new Int32Array(to);
  for (let i = 0; i < to; i++) {
    const place = Math.min(Math.max(scale * (i + 0.5) - 0.5, 0), from - 1);
    first[i] = Math.floor(place);
    second[i] = Math.min(first[i] + 1, from - 1);
    weight[i] = roundHalfEven((place - first[i]) * 256);
  }
  return { first, second, weight };
}

// `cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)` to a smaller size.
export function resizeArea(image, width, height) {
  if (image.width === 2 * width && image.height === 2 * height) return halved(image);
  const { channels, data } = image;
  const xs = areaTable(image.width, width), ys = areaTable(image.height, height);
  const out = new Uint8Array(channels * width * height);
  const row = new Float32Array(channels * width), sum = new Float32Array(channels * width);
  for (let j = 0; j < ys.to.length; j++) {
    row.fill(0);
    const start = channels * image.width * ys.from[j];
    for (let i = 0; i < xs.to.length; i++) {
      const target = channels * xs.to[i], source = start + channels * xs.from[i];
      const share = xs.weight[i];
      for (let c = 0; c < channels; c++) row[target + c] += fround(data[source + c] * share);
    }
    const weight = ys.weight[j];
    for (let i = 0; i < row.length; i++) sum[i] += fround(weight * row[i]);
    if (ys.to[j] === ys.to[j + 1]) continue;
    for (let i = 0, to = channels * width * ys.to[j]; i < sum.length; i++) out[to++] = toByte(sum[i]);
    sum.fill(0);
  }
  return { width, height, channels, data: out };
}

function halved({ width, height, channels, data }) {
  const wide = width / 2, tall = height / 2, below = channels * width;
  const out = new Uint8Array(channels * wide * tall);
  for (let y = 0, to = 0; y < tall; y++) {
    for (let x = 0, at = 2 * y * below; x < wide; x++, at += channels) {
      for (let c = 0; c < channels; c++, at++) {
        const sum = data[at] + data[at + channels] + data[at + below] + data[at + below + channels];
        out[to++] = (sum + 2) >> 2;
      }
    }
  }
  return { width: wide, height: tall, channels, data: out };
}

// Which pixels of the source lie in which ones of the target, and with what share of them.
function areaTable(from, to) {
  const scale = 1 / (to / from);
  const table = { to: [], from: [], weight: [] };
  const add = (target, source, weight) => {
    table.to.push(target);
    table.from.push(source);
    table.weight.push(weight);
  };
  for (let i = 0; i < to; i++) {
    const start = i * scale, end = start + scale, cell = Math.min(scale, from - start);
    const last = Math.min(Math.floor(end), from - 1), first = Math.min(Math.ceil(start), last);
    if (first - start > 1e-3) add(i, first - 1, (first - start) / cell);
    for (let whole = first; whole < last; whole++) add(i, whole, 1 / cell);
    if (end - last > 1e-3) add(i, last, Math.min(end - last, 1, cell) / cell);
  }
  return {
    to: Int32Array.from(table.to), from: Int32Array.from(table.from),
    weight: Float32Array.from(table.weight),
  };
}
