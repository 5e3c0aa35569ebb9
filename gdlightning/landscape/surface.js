// Interactive surface, drawn on a canvas from back to front.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("surface-data").textContent);
  const canvas = document.getElementById("surface");
  const readout = document.getElementById("surface-readout");
  const pen = canvas.getContext("2d");
  const MESH = "rgba(255,255,255,.4)", HEIGHT = 1.15, EYE = 6, FIRST = { yaw: data.yaw, pitch: 0.62, zoom: 1 };
  const view = { ...FIRST, layer: Object.keys(data.layers)[0], log: null, mesh: true, path: true,
                 turning: false };
  const [nx, ny] = data.shape;
  const css = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();

  // From losses to heights, colours and vertices

  const scaleOf = (layer) => ({ low: layer.low, high: layer.high,
                                log: layer.low > 0 && (view.log === null ? layer.log : view.log) });
  const height = (loss, scale) => {
    const { low, high, log } = scale, kept = Math.min(high, Math.max(low, loss));
    return log ? Math.log(kept / low) / Math.log(high / low) : (kept - low) / (high - low);
  };
  const channels = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
  const shade = (palette, share, light) => {
    const place = Math.min(0.9999, Math.max(0, share)) * (palette.length - 1);
    const k = Math.floor(place), t = place - k;
    const mixed = palette[k].map((c, i) => light * (c + t * (palette[k + 1][i] - c)));
    return `rgb(${mixed.map((c) => Math.min(255, Math.round(c))).join()})`;
  };

  let vertices = [], heights = [], colours = [];
  function build() {
    const layer = data.layers[view.layer], scale = scaleOf(layer);
    const palette = layer.palette.map(channels);
    heights = layer.losses.map((z) => (z === null ? NaN : height(z, scale)));
    vertices = heights.map((h, k) => [2 * Math.floor(k / ny) / (nx - 1) - 1,
                                      2 * (k % ny) / (ny - 1) - 1, h * HEIGHT]);
    colours = [];
    for (let i = 0; i < nx - 1; i++) for (let j = 0; j < ny - 1; j++) {
      const k = i * ny + j, [a, b, c, d] = [k, k + ny, k + ny + 1, k + 1].map((q) => heights[q]);
      const dx = (b + c - a - d) / 2 * (nx - 1), dy = (c + d - a - b) / 2 * (ny - 1);
      const lamp = (0.45 * dx + 0.55 * dy + 1.12) / (Math.hypot(dx, dy, 1.6) * 0.997);
      const light = 0.62 + 0.42 * Math.max(0, lamp) + 0.28 * Math.max(0, lamp) ** 24;
      const mean = (a + b + c + d) / 4;
      colours.push(Number.isNaN(mean) ? null : shade(palette, mean, light));
    }
  }
  function onSurface([u, v]) { // point of the surface at u, v in [0, 1]
    const x = Math.min(nx - 1.001, Math.max(0, u * (nx - 1)));
    const y = Math.min(ny - 1.001, Math.max(0, v * (ny - 1)));
    const i = Math.floor(x), j = Math.floor(y), s = x - i, t = y - j, k = i * ny + j;
    const h = heights[k] * (1 - s) * (1 - t) + heights[k + ny] * s * (1 - t) +
      heights[k + 1] * (1 - s) * t + heights[k + ny + 1] * s * t;
    return [2 * u - 1, 2 * v - 1, h * HEIGHT + 0.012];
  }

  // Projection

  let project = null, wide = 0, high = 0;
  function look() {
    const cy = Math.cos(view.yaw), sy = Math.sin(view.yaw);
    const cp = Math.cos(view.pitch), sp = Math.sin(view.pitch);
    const unit = Math.min(wide / 4.2, high / 3.2) * view.zoom;
    project = ([x, y, z]) => {
      const h = z - HEIGHT / 2, along = x * cy - y * sy, away = x * sy + y * cy;
      const depth = away * cp - h * sp, up = away * sp + h * cp;
      const size = unit * EYE / (EYE + depth);
      return [wide * 0.46 + along * size, high * 0.47 - up * size, depth];
    };
  }

  // Axes

  function ticks(low, top, log, count) {
    if (log) {
      const from = Math.floor(Math.log10(low)), to = Math.ceil(Math.log10(top));
      for (const factors of [[1, 2, 5], [1, 3], [1]]) {
        const found = [];
        for (let d = from; d <= to; d++) for (const m of factors) {
          const v = Number((m * 10 ** d).toPrecision(3));
          if (v >= low && v <= top) found.push(v);
        }
        if (found.length <= count + 2) return found.length ? found : [low, top];
      }
    }
    const raw = (top - low) / count, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= top + 1e-9 * step; k++)
      found.push(Number((k * step).toPrecision(6)));
    return found;
  }
  const words = (v) => (v !== 0 && Math.abs(v) < 1e-3 || Math.abs(v) >= 1e5)
    ? v.toExponential(0) : String(Number(v.toPrecision(4)));
  function line(a, b, colour, width) {
    stroke(project(a), project(b), colour, width);
  }
  function text(words, at, away, colour, size, gap) { // next to a point, away from another
    const [x, y] = project(at), [ox, oy] = project(away), length = Math.hypot(x - ox, y - oy) || 1;
    pen.fillStyle = colour; pen.font = `${size}px system-ui, "DejaVu Sans", sans-serif`;
    const ux = (x - ox) / length, uy = (y - oy) / length;
    pen.textAlign = ux > 0.35 ? "left" : ux < -0.35 ? "right" : "center";
    pen.textBaseline = "middle";
    const room = pen.measureText(words).width, part = { left: 0, right: 1, center: 0.5 }[pen.textAlign];
    const at0 = Math.min(wide - room * (1 - part) - 6, Math.max(6 + room * part, x + ux * gap));
    pen.fillText(words, at0, y + uy * gap);
  }
  function axes() {
    const rule = css("--rule"), muted = css("--muted");
    const far = (k) => project(k ? [0, 1, 0] : [1, 0, 0])[2] > project(k ? [0, -1, 0] : [-1, 0, 0])[2]
      ? 1 : -1;
    const back = [far(0), far(1)], layer = data.layers[view.layer], scale = scaleOf(layer);
    const marks = data.axes.map((a) => ticks(a.low, a.high, false, 5)
      .map((v) => [v, 2 * (v - a.low) / (a.high - a.low) - 1])
      .filter(([, at]) => Math.abs(at) < 0.97)); // labels of two axes would overlap at the corners
    for (const k of [0, 1]) for (const [v, at] of marks[k]) {
      const on = (other, z) => (k ? [other, at, z] : [at, other, z]);
      line(on(-1, 0), on(1, 0), rule, 1);
      line(on(back[1 - k], 0), on(back[1 - k], HEIGHT), rule, 1);
      text(words(v), on(-back[1 - k], 0), on(0, 0), muted, 11.5, 14);
    }
    const side = project([back[0], -back[1], 0])[0] < project([-back[0], back[1], 0])[0]
      ? [back[0], -back[1]] : [-back[0], back[1]];
    for (const v of ticks(scale.low, scale.high, scale.log, 5)) {
      const z = height(v, scale) * HEIGHT;
      line([-1, back[1], z], [1, back[1], z], rule, 1);
      line([back[0], -1, z], [back[0], 1, z], rule, 1);
      text(words(v), [...side, z], [0, 0, z], muted, 11.5, 12);
    }
    for (const k of [0, 1]) {
      const at = -back[1 - k] * 1.3, o = k ? [at, 0, 0] : [0, at, 0];
      text(`${data.axes[k].short} / ${data.axes[k].unit}`, o, [0, 0, 0], muted, 12, 12);
    }
  }

  // Drawing

  function draw() {
    const ratio = window.devicePixelRatio || 1;
    wide = canvas.clientWidth; high = canvas.clientHeight;
    if (canvas.width !== Math.round(wide * ratio) || canvas.height !== Math.round(high * ratio)) {
      canvas.width = Math.round(wide * ratio); canvas.height = Math.round(high * ratio);
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, wide, high);
    look(); axes();
    const seen = vertices.map((v) => (Number.isNaN(v[2]) ? null : project(v)));
    const pieces = [];
    for (let i = 0, n = 0; i < nx - 1; i++) for (let j = 0; j < ny - 1; j++, n++) {
      if (colours[n] === null) continue;
      const k = i * ny + j, corners = [seen[k], seen[k + ny], seen[k + ny + 1], seen[k + 1]];
      pieces.push([corners.reduce((sum, c) => sum + c[2], 0) / 4, facet, corners, n]);
      if (view.mesh) for (const [place, end] of [[i, 3], [j, 1]]) if (place % data.mesh === 0) {
        const depth = (corners[0][2] + corners[end][2]) / 2;
        pieces.push([depth - 0.02, stroke, corners[0], corners[end], MESH, 0.7]);
      }
    }
    if (view.path && data.path.length > 1) {
      const points = data.path.map((p) => project(onSurface(p)));
      for (let k = 1; k < points.length; k++) {
        const [a, b] = [points[k - 1], points[k]];
        if (Number.isNaN(a[1] + b[1])) continue;
        const depth = (a[2] + b[2]) / 2; // all outlines are drawn before the lines
        pieces.push([depth - 0.05, stroke, a, b, "#14171c", 4.4]);
        pieces.push([depth - 0.09, stroke, a, b, "#ffffff", 2.2]);
      }
    }
    for (const mark of data.marks) {
      const p = project(onSurface(mark.point));
      if (!Number.isNaN(p[1])) pieces.push([p[2] - 0.1, dot, p, mark]);
    }
    pieces.sort((a, b) => b[0] - a[0]);
    pen.lineJoin = pen.lineCap = "round";
    for (const [, paint, ...rest] of pieces) paint(...rest);
    bar();
  }
  function facet(corners, n) {
    pen.fillStyle = pen.strokeStyle = colours[n]; pen.lineWidth = 0.8;
    pen.beginPath();
    corners.forEach((c, k) => (k ? pen.lineTo(c[0], c[1]) : pen.moveTo(c[0], c[1])));
    pen.closePath(); pen.fill(); pen.stroke();
  }
  function stroke(a, b, colour, width) {
    pen.strokeStyle = colour; pen.lineWidth = width;
    pen.beginPath(); pen.moveTo(a[0], a[1]); pen.lineTo(b[0], b[1]); pen.stroke();
  }
  function dot([x, y], mark) {
    pen.fillStyle = mark.last ? "#ffd23f" : "#ffffff"; pen.strokeStyle = "#14171c"; pen.lineWidth = 1.4;
    pen.beginPath();
    if (mark.last) for (let k = 0; k < 10; k++) {
      const r = k % 2 ? 4 : 10, angle = -Math.PI / 2 + k * Math.PI / 5;
      pen.lineTo(x + r * Math.cos(angle), y + r * Math.sin(angle));
    } else pen.arc(x, y, 5, 0, 2 * Math.PI);
    pen.closePath(); pen.fill(); pen.stroke();
    if (mark.name) {
      pen.font = '600 12.5px system-ui, "DejaVu Sans", sans-serif'; pen.textAlign = "left";
      pen.textBaseline = "bottom"; pen.lineWidth = 3; pen.strokeStyle = css("--paper");
      pen.strokeText(mark.name, x + 9, y - 6);
      pen.fillStyle = css("--ink"); pen.fillText(mark.name, x + 9, y - 6);
    }
  }
  function bar() {
    const layer = data.layers[view.layer], scale = scaleOf(layer);
    const x = wide - 64, top = high * 0.2, tall = high * 0.6;
    const fill = pen.createLinearGradient(0, top + tall, 0, top);
    layer.palette.forEach((c, k) => fill.addColorStop(k / (layer.palette.length - 1), c));
    pen.fillStyle = fill; pen.fillRect(x, top, 13, tall);
    pen.fillStyle = css("--muted"); pen.font = '11.5px system-ui, "DejaVu Sans", sans-serif';
    pen.textAlign = "left"; pen.textBaseline = "middle";
    for (const v of ticks(scale.low, scale.high, scale.log, 6))
      pen.fillText(words(v), x + 19, top + tall * (1 - height(v, scale)));
    pen.textAlign = "right"; pen.textBaseline = "bottom"; pen.fillStyle = css("--ink");
    pen.fillText(layer.name + (scale.log ? ", log scale" : ""), wide - 8, top - 10);
  }

  // Interaction

  let asked = false;
  const again = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; draw(); });
  };
  const turn = (yaw, pitch) => {
    view.yaw += yaw;
    view.pitch = Math.min(1.5, Math.max(0.05, view.pitch + pitch));
    again();
  };
  const closer = (factor) => {
    view.zoom = Math.min(4, Math.max(0.5, view.zoom * factor));
    again();
  };
  canvas.addEventListener("pointerdown", (e) => canvas.setPointerCapture(e.pointerId));
  canvas.addEventListener("pointermove", (e) => {
    if (e.buttons) turn(e.movementX * 0.008, e.movementY * 0.008);
    else point(e.offsetX, e.offsetY);
  });
  canvas.addEventListener("wheel", (e) => { e.preventDefault(); closer(Math.exp(-e.deltaY / 900)); },
    { passive: false });
  canvas.addEventListener("keydown", (e) => {
    const step = { ArrowLeft: [-0.08, 0], ArrowRight: [0.08, 0], ArrowUp: [0, 0.06],
                   ArrowDown: [0, -0.06] }[e.key];
    if (step) { turn(...step); e.preventDefault(); }
    if (e.key === "+" || e.key === "-") closer(e.key === "+" ? 1.1 : 1 / 1.1);
  });
  function point(x, y) { // show the loss below the pointer
    let best = null;
    vertices.forEach((v, k) => {
      if (Number.isNaN(v[2])) return;
      const [px, py, depth] = project(v), gap = Math.hypot(px - x, py - y);
      if (gap < 9 && (!best || depth < best.depth)) best = { k, depth };
    });
    if (!best) { readout.textContent = readout.dataset.hint; return; }
    const where = [Math.floor(best.k / ny) / (nx - 1), (best.k % ny) / (ny - 1)];
    const [a, b] = data.axes.map((axis, k) => words(axis.low + where[k] * (axis.high - axis.low)));
    const layer = data.layers[view.layer];
    readout.textContent = `${layer.name} ${words(layer.losses[best.k])} at (${a}, ${b})`;
  }
  document.querySelectorAll("[data-layer]").forEach((button) =>
    button.addEventListener("click", () => {
      view.layer = button.dataset.layer; view.log = null; show();
    }));
  document.querySelectorAll("[data-switch]").forEach((box) =>
    box.addEventListener("change", () => {
      view[box.dataset.switch] = box.checked; show();
    }));
  document.getElementById("surface-reset").addEventListener("click", () => {
    Object.assign(view, FIRST); again();
  });
  function show() {
    const layer = data.layers[view.layer], log = document.querySelector('[data-switch="log"]');
    document.querySelectorAll("[data-layer]").forEach((b) =>
      b.setAttribute("aria-pressed", String(b.dataset.layer === view.layer)));
    log.disabled = !(layer.low > 0); log.checked = scaleOf(layer).log;
    build(); again();
    if (view.turning) requestAnimationFrame(rotate);
  }
  let before = 0;
  function rotate(now) {
    if (!view.turning) { before = 0; return; }
    if (before) turn(Math.min(50, now - before) * 0.0004, 0);
    before = now;
    requestAnimationFrame(rotate);
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  new ResizeObserver(again).observe(canvas);
  show(); draw();
})();
