// The page: camera or photo in, boxes and bars out. All computing is in worker.js.

import { drawFaces, showFaces } from "./faces.js";

const $ = (id) => document.getElementById(id);
const stage = $("stage"), video = $("video"), photo = $("photo"), overlay = $("overlay");
// Larger photos are shrunk first: phones' canvases hold no more.
const MAX_PIXELS = 16_000_000;
// Faces per second are told as a mean over so many frames.
const AVERAGED = 15;
// Of the camera's frames, so many are on their way: one is fetched while another is analysed.
const UNDERWAY = 2;

let model, worker, stream = null, source = null;
let turn = 0; // of what was asked for last: what comes later for an earlier one is let go
const waiting = new Map(); // what to do with the worker's answer, by the picture's number
let asked = 0;
let lastFrame = Promise.resolve();
const grabbed = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

function say(text, isProblem = false) {
  $("status").textContent = text;
  $("status").classList.toggle("problem", isProblem);
}

// The worker

function startWorker(backend) {
  worker?.terminate();
  waiting.clear();
  worker = new Worker("worker.js", { type: "module" });
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => {
      if (data.ready) return resolve();
      if (data.id === undefined) return reject(new Error(data.error));
      const { resolve: done, reject: failed } = waiting.get(data.id) ?? {};
      waiting.delete(data.id);
      return data.error ? failed?.(new Error(data.error)) : done?.(data);
    };
    const scripts = "worker.js or a script that it loads is missing or damaged: copy the whole folder to the server again";
    worker.onerror = (event) => reject(new Error(event.message || scripts));
    worker.postMessage({ start: { backend } });
  });
}

function analyse(image, { isFace = false, isVideo = false }) {
  const id = ++asked;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    worker.postMessage({ id, image, isFace, isVideo }, [image.data.buffer]);
  });
}

async function run(backend) {
  say("Loading the model…");
  for (const input of [$("camera"), $("file")]) input.disabled = true;
  try {
    await startWorker(backend);
  } catch (error) {
    return say(`The model cannot be loaded: ${error.message}.`, true);
  }
  for (const input of [$("camera"), $("file")]) input.disabled = false;
  say("Ready. Start the camera, or choose or drop a photo.");
}

// Pictures

function pixelsOf(drawable, width, height) {
  const { canvas } = grabbed;
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  grabbed.fillStyle = "#fff"; // under what is transparent
  grabbed.fillRect(0, 0, width, height);
  grabbed.drawImage(drawable, 0, 0, width, height);
  return grabbed.getImageData(0, 0, width, height);
}

function show(element, isMirrored) {
  stage.hidden = false;
  video.hidden = element !== video;
  photo.hidden = element !== photo;
  stage.classList.toggle("mirrored", isMirrored);
  source = element;
}

function showAnswer(answer, width, height, isMirrored) {
  drawFaces(overlay, answer.faces, model, { width, height, isMirrored });
  showFaces($("faces"), answer.faces, model);
}

const none = "No face found: try more light, a frontal view, or a larger face.";

async function analysePhoto(file) {
  stopCamera();
  const mine = turn;
  say("Reading the photo…");
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    if (mine !== turn) return undefined;
    return say(`${file.name} is damaged or no picture that this browser can read: choose a JPEG, PNG or WebP.`, true);
  }
  const share = Math.min(1, Math.sqrt(MAX_PIXELS / (bitmap.width * bitmap.height)));
  const width = Math.max(Math.round(bitmap.width * share), 1);
  const height = Math.max(Math.round(bitmap.height * share), 1);
  try {
    if (mine !== turn) return undefined;
    [photo.width, photo.height] = [width, height];
    const image = pixelsOf(bitmap, width, height);
    photo.getContext("2d").putImageData(image, 0, 0);
    show(photo, false);
    const answer = await analyse(image, { isFace: $("whole").checked });
    if (mine !== turn) return undefined;
    showAnswer(answer, width, height, false);
    const shrunk = share < 1 ? ` The photo was shrunk to ${width} × ${height} pixels.` : "";
    const found = answer.faces.length;
    say((found ? `${found} ${found === 1 ? "face" : "faces"}.` : none) + shrunk);
    tellSpeed([answer]);
  } catch (error) {
    if (mine === turn) say(`The photo cannot be analysed: ${error.message}.`, true);
  } finally {
    bitmap.close();
  }
  return undefined;
}

function tellSpeed(answers) {
  const mean = (part) => answers.reduce((sum, answer) => sum + answer[part], 0) / answers.length;
  $("speed").textContent = `Search ${mean("detectMs").toFixed(0)} ms, ` +
    `network ${mean("classifyMs").toFixed(0)} ms a picture, ${model.precision} on ${$("backend").selectedOptions[0].text}.`;
}

// The camera

const REFUSALS = {
  NotFoundError: "No camera found: plug one in, or choose a photo.",
  NotAllowedError: "The camera is not allowed: allow it in the browser's address bar, or choose a photo.",
  NotReadableError: "The camera is in use by another program: close that one, then start again.",
  OverconstrainedError: "That camera is gone: choose another one.",
};

async function startCamera() {
  if (!navigator.mediaDevices) {
    return say("Browsers give the camera to pages over https or on localhost only: choose a photo, or serve this folder so.", true);
  }
  stopCamera();
  const mine = turn;
  say("Waiting for the camera…");
  const wanted = $("device").value ? { deviceId: { exact: $("device").value } } : { facingMode: "user" };
  let opened;
  try {
    opened = await navigator.mediaDevices.getUserMedia({
      video: { ...wanted, width: { ideal: 640 }, height: { ideal: 480 } },
    });
    if (mine === turn) {
      stream = video.srcObject = opened;
      await video.play();
    }
  } catch (error) {
    if (mine !== turn) return undefined;
    stopCamera();
    return say(REFUSALS[error.name] ?? `The camera does not start (${error.message}): choose a photo.`, true);
  }
  if (mine !== turn) return opened.getTracks().forEach((track) => track.stop());
  stream.getVideoTracks()[0].onended = () => {
    stopCamera();
    say("The camera has ended: start it again.", true);
  };
  show(video, $("mirror").checked);
  $("camera").textContent = "Stop camera";
  await listCameras();
  if (mine !== turn) return undefined;
  say("Looking for faces…");
  const answers = [];
  for (let i = 0; i < UNDERWAY; i++) follow(stream, answers);
  return undefined;
}

function stopCamera() {
  turn++;
  stream?.getTracks().forEach((track) => track.stop());
  stream = video.srcObject = null;
  $("camera").textContent = "Start camera";
  overlay.getContext("2d").clearRect(0, 0, overlay.width, overlay.height);
  stage.hidden = true; // the last picture does not stand under what is said of the next one
  $("faces").replaceChildren();
  $("speed").textContent = "";
}

// Analyses one new frame after another until this stream is no longer the camera.
async function follow(current, answers) {
  while (stream === current) {
    await nextFrame();
    const { videoWidth: width, videoHeight: height } = video;
    if (!width || stream !== current) continue;
    let answer;
    try {
      answer = await analyse(pixelsOf(video, width, height), { isVideo: true });
    } catch (error) {
      stopCamera();
      return say(`The camera's picture cannot be analysed: ${error.message}.`, true);
    }
    if (stream !== current) return undefined;
    showAnswer(answer, width, height, $("mirror").checked);
    answers.push(answer);
    if (answers.length > AVERAGED) answers.shift();
    tellSpeed(answers);
    const found = answer.faces.length;
    say(found ? `${found} ${found === 1 ? "face" : "faces"}.` : none);
  }
  return undefined;
}

// Nobody gets the same frame as somebody else.
function nextFrame() {
  lastFrame = lastFrame.then(() => new Promise((resolve) => {
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(resolve);
    else requestAnimationFrame(resolve);
    setTimeout(resolve, 500); // a hidden page gets no frames
  }));
  return lastFrame;
}

async function listCameras() {
  const current = stream.getVideoTracks()[0].getSettings().deviceId;
  const devices = (await navigator.mediaDevices.enumerateDevices())
    .filter(({ kind }) => kind === "videoinput");
  $("device").replaceChildren(...devices.map(({ deviceId, label }, i) =>
    new Option(label || `Camera ${i + 1}`, deviceId, false, deviceId === current)));
  $("device").hidden = devices.length < 2;
}

// The page

function listen() {
  $("camera").onclick = () => {
    if (!stream) return startCamera();
    stopCamera();
    return say("Camera stopped.");
  };
  $("device").onchange = startCamera;
  $("mirror").onchange = () => stage.classList.toggle("mirrored", source === video && $("mirror").checked);
  $("file").onchange = ({ target }) => {
    if (target.files[0]) analysePhoto(target.files[0]);
    target.value = ""; // so that the same photo may be chosen again
  };
  $("backend").onchange = ({ target }) => {
    stopCamera();
    run(target.value);
  };
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file && !$("file").disabled) analysePhoto(file);
  });
}

// WebGPU is offered where there is a real one; int8 networks are for WebAssembly.
async function offerWebGpu() {
  if (!navigator.gpu || model.precision === "int8" || !model.runtime.webgpu) return;
  const adapter = await navigator.gpu.requestAdapter().catch(() => null);
  if (adapter && !adapter.info?.isFallbackAdapter) $("backend").add(new Option("WebGPU", "webgpu"));
}

async function keepForOffline() {
  if (!navigator.serviceWorker) return;
  try {
    await navigator.serviceWorker.register("sw.js");
    await navigator.serviceWorker.ready;
    document.documentElement.dataset.offline = "ready";
  } catch {
    // A browser in private mode may refuse: the page then needs its server each time.
  }
}

async function main() {
  try {
    model = await (await fetch("model.json")).json();
  } catch {
    return say("model.json is missing or damaged: copy the whole folder to the server again.", true);
  }
  listen();
  await offerWebGpu();
  await run("wasm");
  return keepForOffline();
}

main();
