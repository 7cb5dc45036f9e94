// How corrections look: marks with a sign, dashed boxes, and the cross that the keyboard moves.

const MARK_COLORS = { keep: "#16a34a", drop: "#dc2626", box: "#4f46e5" };

/** Draws a click or a stroke, whose points are shares of the picture. */
function drawMark(context, mark) {
  const { width, height } = context.canvas;
  const unit = Math.max(width, height);
  const points = mark.points.map(([x, y]) => [x * width, y * height]);
  const radius = Math.max(mark.radius * unit, unit / 70);
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = context.fillStyle = MARK_COLORS[mark.keep ? "keep" : "drop"];
  if (points.length > 1) {
    context.globalAlpha = 0.6;
    context.lineWidth = 2 * mark.radius * unit;
    context.beginPath();
    for (const [x, y] of points) context.lineTo(x, y);
    context.stroke();
    context.globalAlpha = 1;
  }
  const [x, y] = points[0];
  context.beginPath();
  context.arc(x, y, radius, 0, 7);
  context.fill();
  context.strokeStyle = "#fff";
  context.lineWidth = unit / 260;
  context.stroke();
  context.beginPath();
  context.moveTo(x - radius / 2, y);
  context.lineTo(x + radius / 2, y);
  if (mark.keep) {
    context.moveTo(x, y - radius / 2);
    context.lineTo(x, y + radius / 2);
  }
  context.stroke();
}

function drawBox(context, box) {
  const { width, height } = context.canvas;
  context.lineWidth = 3;
  context.setLineDash([10, 7]);
  for (const [color, offset] of /** @type {[string, number][]} */ ([["#fff", 0], [MARK_COLORS.box, 10]])) {
    context.strokeStyle = color;
    context.lineDashOffset = offset;
    context.strokeRect(box.left * width, box.top * height, (box.right - box.left) * width, (box.bottom - box.top) * height);
  }
  context.setLineDash([]);
}

function drawCross(context, [x, y], tool) {
  const [left, top] = [x * context.canvas.width, y * context.canvas.height];
  context.strokeStyle = MARK_COLORS[tool];
  context.lineWidth = 3;
  context.beginPath();
  for (const [dx, dy] of [[12, 0], [0, 12]]) {
    context.moveTo(left - dx, top - dy);
    context.lineTo(left + dx, top + dy);
  }
  context.stroke();
}

/** Fills a canvas with a background: checks, white or black. */
function drawGround(context, name) {
  const { width, height } = context.canvas;
  context.fillStyle = { checks: "#e9e9ee", white: "#fff", black: "#111" }[name];
  context.fillRect(0, 0, width, height);
  if (name !== "checks") return;
  context.fillStyle = "#d3d3db";
  for (let y = 0; y < height; y += 16) for (let x = (y / 16) % 2 ? 16 : 0; x < width; x += 32) context.fillRect(x, y, 16, 16);
}
