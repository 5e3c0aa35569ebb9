// Animation of a race of optimizers: paths on the contours, and values by step.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("race-data").textContent);
  const above = document.getElementById("race-above"), curve = document.getElementById("race-curve");
  const slider = document.getElementById("race-step"), now = document.getElementById("race-now");
  const play = document.getElementById("race-play"), pace = document.getElementById("race-pace");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const css = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();
  const EDGE = { left: 44, right: 12, top: 10, bottom: 34 };
  const hidden = new Set();
  let step = 0, playing = false, before = 0;
  const grounds = ["light", "dark"].map((name) => {
    const image = new Image();
    image.onload = () => draw();
    image.src = data.ground[name];
    return image;
  });

  function sheet(canvas) { // resize and clear a canvas; return its inner rectangle
    const ratio = window.devicePixelRatio || 1, wide = canvas.clientWidth, high = canvas.clientHeight;
    if (canvas.width !== Math.round(wide * ratio)) canvas.width = Math.round(wide * ratio);
    if (canvas.height !== Math.round(high * ratio)) canvas.height = Math.round(high * ratio);
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, wide, high);
    return { pen, x: EDGE.left, y: EDGE.top, w: wide - EDGE.left - EDGE.right,
             h: high - EDGE.top - EDGE.bottom };
  }
  function label(pen, words, x, y, align, base, colour) {
    pen.font = '11.5px system-ui, "DejaVu Sans", sans-serif';
    pen.textAlign = align; pen.textBaseline = base; pen.fillStyle = colour;
    pen.fillText(words, x, y);
  }
  function round(low, high, count) {
    const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
    const size = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999), found = [];
    for (let k = Math.ceil(low / size - 1e-9); k * size <= high + 1e-9 * size; k++)
      found.push(Number((k * size).toPrecision(6)));
    return found;
  }
  const power = (d) => "10" + String(d).replace(/./g, (c) => "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"["0123456789-".indexOf(c)]);
  function trace(pen, points, colour, width) {
    pen.strokeStyle = colour; pen.lineWidth = width; pen.lineJoin = pen.lineCap = "round";
    pen.beginPath();
    points.forEach(([x, y], k) => (k ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.stroke();
  }
  function disc(pen, [x, y], radius, fill, edge) {
    pen.beginPath(); pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.fillStyle = fill; pen.fill();
    pen.lineWidth = 1.6; pen.strokeStyle = edge; pen.stroke();
  }
  const runners = () => data.tracks.filter((t) => !hidden.has(t.optimizer)).reverse();

  function fromAbove() {
    const { pen, x, y, w, h } = sheet(above), [left, right, low, high] = data.domain;
    const place = ([a, b]) => [x + (a - left) / (right - left) * w, y + (high - b) / (high - low) * h];
    const image = grounds[dark.matches ? 1 : 0];
    if (image.complete && image.naturalWidth) pen.drawImage(image, x, y, w, h);
    for (const v of round(left, right, 5))
      label(pen, String(v), place([v, 0])[0], y + h + 6, "center", "top", css("--muted"));
    for (const v of round(low, high, 5))
      label(pen, String(v), x - 6, place([0, v])[1], "right", "middle", css("--muted"));
    label(pen, "x", x + w / 2, y + h + 20, "center", "top", css("--muted"));
    label(pen, "y", 4, y + h / 2, "left", "middle", css("--muted"));
    pen.save(); pen.beginPath(); pen.rect(x, y, w, h); pen.clip();
    for (const track of runners()) {
      const points = track.points.slice(0, step + 1).map(place);
      trace(pen, points, css("--paper"), 4);
      trace(pen, points, track.colour, 2);
      disc(pen, points[points.length - 1], 5.5, track.colour, css("--paper"));
    }
    disc(pen, place(data.start), 4, css("--ink"), css("--paper"));
    pen.restore();
  }
  function asCurves() {
    const { pen, x, y, w, h } = sheet(curve), [low, high] = data.range.map(Math.log10);
    const place = (value, k) => [x + k / data.steps * w,
      y + (high - Math.log10(Math.max(value, data.range[0]))) / (high - low) * h];
    const jump = Math.ceil((high - low) / 7);
    for (let d = Math.ceil(low); d <= high; d += jump) {
      const at = place(10 ** d, 0)[1];
      trace(pen, [[x, at], [x + w, at]], css("--rule"), 1);
      label(pen, power(d), x - 6, at, "right", "middle", css("--muted"));
    }
    for (const k of round(0, data.steps, 5))
      label(pen, k.toLocaleString("en"), place(1, k)[0], y + h + 6, "center", "top", css("--muted"));
    label(pen, "optimizer step", x + w / 2, y + h + 20, "center", "top", css("--muted"));
    for (const track of runners()) {
      trace(pen, track.values.map(place), track.colour + "33", 1.2);
      const seen = track.values.slice(0, step + 1).map(place);
      trace(pen, seen, track.colour, 2);
      disc(pen, seen[seen.length - 1], 4, track.colour, css("--paper"));
      if (track.arrived !== null && step >= track.arrived)
        disc(pen, place(track.values[track.arrived], track.arrived), 4, css("--paper"), track.colour);
    }
  }
  function draw() {
    fromAbove(); asCurves();
    slider.value = step;
    now.textContent = `step ${step.toLocaleString("en")} of ${data.steps.toLocaleString("en")}`;
    for (const track of data.tracks) {
      const row = document.querySelector(`[data-track="${CSS.escape(track.optimizer)}"] .state`);
      const last = track.points.length - 1, value = track.values[Math.min(step, last)];
      row.textContent = track.arrived !== null && step >= track.arrived
        ? `converged after ${track.arrived.toLocaleString("en")} steps`
        : step >= last && track.diverged ? "diverged" : `f − min f = ${value.toPrecision(3)}`;
    }
  }
  function forward(time) {
    if (!playing) return;
    const seconds = before ? Math.min(0.1, (time - before) / 1000) : 0;
    before = time;
    forward.exact = Math.min(data.steps, forward.exact + seconds * data.steps / 12 * Number(pace.value));
    step = Math.round(forward.exact);
    draw();
    if (step >= data.steps) run(false);
    else requestAnimationFrame(forward);
  }
  function run(on) {
    playing = on; before = 0;
    play.textContent = on ? "Pause" : step >= data.steps ? "Replay" : "Play";
    if (!on) return;
    if (step >= data.steps) step = 0;
    forward.exact = step;
    requestAnimationFrame(forward);
  }
  play.addEventListener("click", () => run(!playing));
  slider.addEventListener("input", () => { run(false); step = Number(slider.value); draw(); });
  document.querySelectorAll("[data-track]").forEach((button) =>
    button.addEventListener("click", () => {
      const name = button.dataset.track;
      hidden.has(name) ? hidden.delete(name) : hidden.add(name);
      button.setAttribute("aria-pressed", String(!hidden.has(name)));
      draw();
    }));
  dark.addEventListener("change", draw);
  new ResizeObserver(draw).observe(above);
  step = data.steps;
  draw();
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) { step = 0; run(true); }
})();
