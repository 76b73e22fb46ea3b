// One picture of a person on a canvas: its regions can be painted, its joints dragged.
// gradio gives `element`, `props` and `watch`; props.value is what `to_page` of truepose.demo writes.
const ZOOM = 3, REACH = 14;
const state = {person: null, picture: null, labels: null, held: -1, painting: false, mode: "joints", named: ""};
const decode = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
const encode = bytes => {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
};
const canvas = () => element.querySelector("canvas");
const chosen = name => element.querySelector(`[name=${name}]`);

// Joints that are not known lie in a row at the lower edge, to be dragged to their place.
function place(k) {
  const [x, y, seen] = state.person.keypoints[k];
  if (seen > 0) return [x, y];
  const [height, width] = state.person.size;
  return [(k + 1) * width / 19, height - 4];
}

function drawLabels(context) {
  const [height, width] = state.person.size;
  const sheet = new OffscreenCanvas(width, height), pen = sheet.getContext("2d");
  const pixels = pen.createImageData(width, height);
  state.labels.forEach((label, i) => {
    const [r, g, b] = props.palette[label];
    pixels.data.set([r, g, b, label ? 150 : 0], 4 * i);
  });
  pen.putImageData(pixels, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(sheet, 0, 0, width * ZOOM, height * ZOOM);
}

function drawJoints(context) {
  const known = k => state.person.keypoints[k][2] > 0;
  context.lineWidth = 4;
  props.bones.forEach(([a, b], i) => {
    if (!known(a) || !known(b)) return;
    const [ax, ay] = place(a), [bx, by] = place(b);
    context.strokeStyle = `rgb(${props.bone_colours[i]})`;
    context.beginPath();
    context.moveTo(ax * ZOOM, ay * ZOOM);
    context.lineTo(bx * ZOOM, by * ZOOM);
    context.stroke();
  });
  props.joints.forEach((_, k) => {
    const [x, y] = place(k);
    context.beginPath();
    context.arc(x * ZOOM, y * ZOOM, known(k) ? 7 : 5, 0, 7);
    context.fillStyle = known(k) ? `rgb(${props.joint_colours[k]})` : "#bbb";
    if (state.person.keypoints[k][2] !== 1) context.fill();
    context.strokeStyle = k === state.held ? "#000" : "#fff";
    context.lineWidth = 2;
    context.stroke();
  });
}

function draw() {
  const drawn = canvas();
  if (!drawn || !state.picture) return;
  const [height, width] = state.person.size;
  [drawn.width, drawn.height] = [width * ZOOM, height * ZOOM];
  const context = drawn.getContext("2d");
  context.drawImage(state.picture, 0, 0, drawn.width, drawn.height);
  if (state.mode === "regions") drawLabels(context);
  else drawJoints(context);
  element.querySelector(".said").textContent = state.named || props.hints[state.mode];
  for (const button of element.querySelectorAll("button[data-mode]"))
    button.setAttribute("aria-pressed", button.dataset.mode === state.mode);
  element.querySelector(".brush").hidden = state.mode !== "regions";
}

function read() {
  if (!props.value || props.value === state.person) return draw();
  state.person = JSON.parse(JSON.stringify(props.value));
  state.labels = decode(state.person.labels);
  const picture = new Image();
  picture.onload = () => { state.picture = picture; draw(); };
  picture.src = state.person.picture;
}

// The server is told when a finger or button is lifted, not at every move.
function send() {
  state.person = {...state.person, labels: encode(state.labels)};
  props.value = state.person;
}

function at(event) {  // x, y in pixels of the picture
  const box = canvas().getBoundingClientRect(), [height, width] = state.person.size;
  const inside = (share, side) => Math.min(Math.max(share * side, 0), side - .5);
  return [inside((event.clientX - box.left) / box.width, width), inside((event.clientY - box.top) / box.height, height)];
}

function nearest(x, y) {  // number of the joint that is meant, -1: none
  const reach = REACH * state.person.size[1] / canvas().getBoundingClientRect().width;
  const far = props.joints.map((_, k) => Math.hypot(place(k)[0] - x, place(k)[1] - y));
  const k = far.indexOf(Math.min(...far));
  return far[k] <= reach ? k : -1;
}

function paint(x, y) {
  const [height, width] = state.person.size, radius = Number(chosen("brush").value);
  for (let row = Math.max(0, Math.ceil(y - radius)); row < Math.min(height, y + radius); row++)
    for (let column = Math.max(0, Math.ceil(x - radius)); column < Math.min(width, x + radius); column++)
      if (Math.hypot(row - y, column - x) < radius) state.labels[row * width + column] = Number(chosen("region").value);
}

element.addEventListener("pointerdown", event => {
  if (event.target !== canvas() || !state.person) return;
  const [x, y] = at(event);
  if (state.mode === "regions") { state.painting = true; paint(x, y); }
  else state.held = nearest(x, y);
  if (state.painting || state.held >= 0) { event.preventDefault(); event.target.setPointerCapture(event.pointerId); }
  draw();
});
element.addEventListener("pointermove", event => {
  if (event.target !== canvas() || !state.person) return;
  const [x, y] = at(event);
  if (state.painting) paint(x, y);
  else if (state.held >= 0) state.person.keypoints[state.held] = [x, y, 2];
  const k = state.held >= 0 ? state.held : nearest(x, y);
  state.named = state.mode === "joints" && k >= 0 ? props.joints[k].replace("_", " ") : "";
  draw();
});
element.addEventListener("pointerup", () => {
  if (!state.painting && state.held < 0) return;
  [state.painting, state.held, state.named] = [false, -1, ""];
  send();
  draw();
});
element.addEventListener("dblclick", event => {  // a joint that the picture does not show
  if (event.target !== canvas() || state.mode !== "joints") return;
  const k = nearest(...at(event));
  if (k < 0) return;
  state.person.keypoints[k] = [0, 0, 0];
  send();
  draw();
});
element.addEventListener("click", event => {
  const mode = event.target.dataset?.mode;
  if (!mode) return;
  state.mode = mode;
  draw();
});
watch("value", read);
read();
