// A recording of an asset: quantised key frames (ar4d/player/recording.py), and the splats between them.

const WORLD_SCALE = 32; // of ar4d/player/packing.py
const QUATS_UNIT = 511;

/** Reads deflated bytes. */
export async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

export function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** Takes the streams of integers out of the inflated bytes, one after another. */
class Streams {
  constructor(bytes) {
    this.bytes = bytes;
    this.offset = 0;
  }

  /** @returns {Int32Array} `length` integers, component by component, key frame by key frame */
  take(length) {
    const low = this.bytes.subarray(this.offset, this.offset + length);
    const high = this.bytes.subarray(this.offset + length, this.offset + 2 * length);
    this.offset += 2 * length;
    const values = new Int32Array(length);
    for (let i = 0; i < length; i++) {
      const code = low[i] | (high[i] << 8);
      values[i] = (code >>> 1) ^ -(code & 1);
    }
    return values;
  }
}

export class Recording {
  /**
   * @param {{keyFrames: number, count: number, meansStep: number, logScalesStep: number, rotationsStep: number, smooth: boolean}} meta
   * @param {Uint8Array} bytes inflated
   */
  constructor(meta, bytes) {
    this.keyFrames = meta.keyFrames;
    this.count = meta.count;
    this.smooth = meta.smooth;
    const streams = new Streams(bytes);
    const offsets = streams.take(this.count);
    this.parents = offsets.map((offset, i) => i - offset);
    this.means = this.sums(streams, 3, (value) => value * meta.meansStep * WORLD_SCALE);
    this.scales = this.sums(streams, 3, (value) => Math.exp(value * meta.logScalesStep) * WORLD_SCALE);
    this.opacities = this.sums(streams, 1, (value) => value);
    this.colors = this.sums(streams, 3, (value) => value);
    this.quats = this.rotations(streams, meta.rotationsStep);
    this.size = bytes.byteLength;
  }

  /** The values of a stream of differences, Gaussian by Gaussian, one array for each key frame. */
  sums(streams, components, convert) {
    const { count, keyFrames, parents } = this;
    const differences = streams.take(components * keyFrames * count);
    const frames = Array.from({ length: keyFrames }, () => new Float32Array(count * components));
    const changes = new Int32Array(count);
    const values = new Int32Array(count);
    for (let c = 0; c < components; c++) {
      values.fill(0);
      for (let k = 0; k < keyFrames; k++) {
        const start = (c * keyFrames + k) * count;
        for (let i = 0; i < count; i++) {
          changes[i] = differences[start + i] + (i ? changes[parents[i]] : 0);
          values[i] += changes[i];
          frames[k][i * components + c] = convert(values[i]);
        }
      }
    }
    return frames;
  }

  /** The quaternions (wxyz): the first ones, and those that rotation vectors lead to. */
  rotations(streams, step) {
    const { count, keyFrames, parents } = this;
    const first = streams.take(4 * count);
    const differences = streams.take(3 * (keyFrames - 1) * count);
    const quats = new Float64Array(4 * count);
    for (let i = 0; i < count; i++) {
      for (let c = 0; c < 4; c++) quats[4 * i + c] = first[c * count + i] / QUATS_UNIT;
      normalize(quats, 4 * i);
    }
    const frames = [Float32Array.from(quats)];
    const vectors = new Int32Array(3 * count);
    for (let k = 0; k < keyFrames - 1; k++) {
      for (let i = 0; i < count; i++) {
        for (let c = 0; c < 3; c++) {
          const difference = differences[(c * (keyFrames - 1) + k) * count + i];
          vectors[3 * i + c] = difference + (i ? vectors[3 * parents[i] + c] : 0);
        }
        rotate(quats, 4 * i, vectors[3 * i] * step, vectors[3 * i + 1] * step, vectors[3 * i + 2] * step);
      }
      frames.push(Float32Array.from(quats));
    }
    return frames;
  }

  /**
   * The splats at a share of the time, 0 to 1, in the layout of ar4d/player/packing.py.
   * @returns {Uint32Array}
   */
  at(share) {
    const at = Math.min(Math.max(share, 0), 1) * (this.keyFrames - 1);
    const k = Math.min(Math.floor(at), Math.max(this.keyFrames - 2, 0));
    const next = Math.min(k + 1, this.keyFrames - 1);
    const w = at - k;
    const buffer = new Uint32Array(8 * this.count);
    this.writeMeans(new Float32Array(buffer.buffer), k, next, w);
    this.writeShapes(buffer, k, next, w);
    return buffer;
  }

  writeMeans(floats, k, next, w) {
    const [a, b] = [this.means[k], this.means[next]];
    const before = this.means[Math.max(k - 1, 0)];
    const after = this.means[Math.min(next + 1, this.keyFrames - 1)];
    const s = this.smooth ? w * (1 - w) * 0.5 : 0; // of a Catmull-Rom spline's difference from the line
    for (let i = 0, j = 0; i < floats.length; i += 8) {
      for (let c = 0; c < 3; c++, j++) {
        const line = a[j] + w * (b[j] - a[j]);
        floats[i + c] = s ? line + s * ((1 - w) * (2 * a[j] - before[j] - b[j]) + w * (2 * b[j] - a[j] - after[j])) : line;
      }
    }
  }

  /** Plain numbers throughout: this runs for every Gaussian of every picture. */
  writeShapes(buffer, k, next, w) {
    const [q, p, s, r] = [this.quats[k], this.quats[next], this.scales[k], this.scales[next]];
    const [o, u, color, later] = [this.opacities[k], this.opacities[next], this.colors[k], this.colors[next]];
    const v = 1 - w;
    for (let i = 0, j = 0, at = 4; i < this.count; i++, j += 3, at += 8) {
      const a = v * q[4 * i] + w * p[4 * i];
      const b = v * q[4 * i + 1] + w * p[4 * i + 1];
      const c = v * q[4 * i + 2] + w * p[4 * i + 2];
      const d = v * q[4 * i + 3] + w * p[4 * i + 3];
      const n = 1 / (Math.sqrt(a * a + b * b + c * c + d * d) || 1);
      const [sx, sy, sz] = [v * s[j] + w * r[j], v * s[j + 1] + w * r[j + 1], v * s[j + 2] + w * r[j + 2]];
      writeCovariance(buffer, at, a * n, b * n, c * n, d * n, sx, sy, sz);
      const red = (v * color[j] + w * later[j] + 0.5) | 0;
      const green = (v * color[j + 1] + w * later[j + 1] + 0.5) | 0;
      const blue = (v * color[j + 2] + w * later[j + 2] + 0.5) | 0;
      buffer[at + 3] = red | (green << 8) | (blue << 16) | (((v * o[i] + w * u[i] + 0.5) | 0) << 24);
    }
  }
}

function normalize(quats, i) {
  const length = Math.sqrt(quats[i] ** 2 + quats[i + 1] ** 2 + quats[i + 2] ** 2 + quats[i + 3] ** 2) || 1;
  for (let c = 0; c < 4; c++) quats[i + c] /= length;
}

/** Turns a quaternion in place by a rotation vector in world axes. */
function rotate(quats, i, x, y, z) {
  const angle = Math.sqrt(x * x + y * y + z * z);
  if (angle === 0) return;
  const s = Math.sin(angle / 2) / angle;
  const [aw, ax, ay, az] = [Math.cos(angle / 2), x * s, y * s, z * s];
  const [bw, bx, by, bz] = [quats[i], quats[i + 1], quats[i + 2], quats[i + 3]];
  quats[i] = aw * bw - ax * bx - ay * by - az * bz;
  quats[i + 1] = aw * bx + ax * bw + ay * bz - az * by;
  quats[i + 2] = aw * by - ax * bz + ay * bw + az * bx;
  quats[i + 3] = aw * bz + ax * by - ay * bx + az * bw;
}

/** Writes the upper triangle of R diag(scales²) Rᵀ as six half floats. */
function writeCovariance(buffer, at, w, x, y, z, sx, sy, sz) {
  const xx = (1 - 2 * (y * y + z * z)) * sx;
  const xy = 2 * (x * y - w * z) * sy;
  const xz = 2 * (x * z + w * y) * sz;
  const yx = 2 * (x * y + w * z) * sx;
  const yy = (1 - 2 * (x * x + z * z)) * sy;
  const yz = 2 * (y * z - w * x) * sz;
  const zx = 2 * (x * z - w * y) * sx;
  const zy = 2 * (y * z + w * x) * sy;
  const zz = (1 - 2 * (x * x + y * y)) * sz;
  buffer[at] = half(xx * xx + xy * xy + xz * xz) | (half(xx * yx + xy * yy + xz * yz) << 16);
  buffer[at + 1] = half(xx * zx + xy * zy + xz * zz) | (half(yx * yx + yy * yy + yz * yz) << 16);
  buffer[at + 2] = half(yx * zx + yy * zy + yz * zz) | (half(zx * zx + zy * zy + zz * zz) << 16);
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The 16 bits of a half float, rounded to the nearest and limited to the largest one. */
function half(value) {
  float[0] = value;
  const sign = (bits[0] >>> 16) & 0x8000;
  const exponent = ((bits[0] >>> 23) & 0xff) - 112;
  const mantissa = bits[0] & 0x7fffff;
  if (exponent >= 31) return sign | 0x7bff;
  if (exponent > 0) return sign | Math.min(((exponent << 10) | (mantissa >>> 13)) + ((mantissa >>> 12) & 1), 0x7bff);
  if (exponent < -10) return sign;
  return sign | (((mantissa | 0x800000) >>> (13 - exponent)) + 1 >>> 1); // a subnormal number
}
