// The visitor's camera: flights to fixed views, the turntable, and two copies for comparing.

import * as bridge from "ar4d/bridge.js";

const RADIUS = 1.5; // of the reference camera's orbit
const FLIGHT_MS = 650;
const TURNTABLE_SECONDS = 14; // for one turn
const DEGREES = 180 / Math.PI;

export const VIEWS = {
  reference: null, // the clip's own elevation
  front: [0, 0],
  left: [-90, 0],
  back: [180, 0],
  right: [90, 0],
  top: [0, 88],
};

/** The factor of distance at which the square clip fits into the window, or into its halves. */
function fit(aspect, layout) {
  if (layout === "row") return Math.max(1, 2 / aspect);
  if (layout === "column") return Math.max(2, 1 / aspect);
  return Math.max(1, 1 / aspect);
}

/** "row" or "column" for two stages, by the shape of the window; null for one. */
export function layoutFor(numStages, aspect) {
  return numStages < 2 ? null : aspect >= 1 ? "row" : "column";
}

/** @param {number[]} position */
function spherical([x, y, z]) {
  const radius = Math.hypot(x, y, z) || RADIUS;
  return { azimuth: Math.atan2(x, z) * DEGREES, elevation: Math.asin(y / radius) * DEGREES, radius };
}

function cartesian({ azimuth, elevation, radius }) {
  const a = azimuth / DEGREES;
  const e = elevation / DEGREES;
  return [radius * Math.cos(e) * Math.sin(a), radius * Math.sin(e), radius * Math.cos(e) * Math.cos(a)];
}

export class Pilot {
  constructor() {
    this.flight = null; // {from, to, start}
    this.turntable = false;
    this.layout = null;
    this.aspect = 1;
    this.elevation = 0; // of the reference camera
  }

  /** Shows the reference view after connecting. */
  arrive() {
    this.aspect = bridge.camera().aspect;
    bridge.lookFrom(cartesian(this.goal("reference")));
  }

  goal(name) {
    const [azimuth, elevation] = VIEWS[name] ?? [0, this.elevation];
    return { azimuth, elevation, radius: RADIUS * fit(this.aspect, this.layout) };
  }

  /** The centre of the clip's camera. */
  reference() {
    return cartesian({ azimuth: 0, elevation: this.elevation, radius: RADIUS });
  }

  flyTo(name) {
    this.depart(this.goal(name));
  }

  depart(to) {
    const from = spherical(bridge.camera().position);
    from.azimuth += Math.round((to.azimuth - from.azimuth) / 360) * 360; // the short way round
    this.turntable = false;
    this.flight = { from, to, start: performance.now() };
  }

  /** Ends flights when the visitor moves the camera. */
  release() {
    this.flight = null;
    this.turntable = false;
  }

  /** One animation frame: flies, and keeps the object in the window when its size or the layout changes. */
  update(seconds, aspect, layout) {
    if (aspect !== this.aspect || layout !== this.layout) {
      const factor = fit(aspect, layout) / fit(this.aspect, this.layout);
      [this.aspect, this.layout] = [aspect, layout];
      if (Math.abs(factor - 1) > 1e-3) {
        const goal = this.flight?.to ?? spherical(bridge.camera().position);
        const turntable = this.turntable;
        this.depart({ ...goal, radius: goal.radius * factor });
        this.turntable = turntable;
      }
    }
    if (this.flight) this.fly();
    else if (this.turntable) bridge.turn((2 * Math.PI * seconds) / TURNTABLE_SECONDS);
  }

  fly() {
    const { from, to, start } = this.flight;
    const s = Math.min((performance.now() - start) / FLIGHT_MS, 1);
    const eased = s * s * (3 - 2 * s);
    const between = (part) => from[part] + (to[part] - from[part]) * eased;
    bridge.lookFrom(cartesian({ azimuth: between("azimuth"), elevation: between("elevation"), radius: between("radius") }));
    if (s === 1) this.flight = null;
  }
}

/**
 * Centres two copies in their halves of the window; a single one stays in place.
 *
 * A copy that stood beside the other would be seen from another side. Each is therefore sheared along
 * the view, x' = x + s·depth, which shifts its picture by s and changes nothing else.
 */
export function arrange({ viewmat: v, fov, aspect }, layout) {
  const half = Math.tan(fov / DEGREES / 2) / 2;
  const [axis, shift] = layout === "row" ? [v.slice(0, 3), half * aspect] : [v.slice(4, 7), layout ? half : 0];
  const forward = v.slice(8, 12); // depth = forward · (x, 1)
  const sheared = (s) => axis.map((a, i) => forward.map((f, j) => Number(i === j) + s * a * f));
  bridge.setTransform(bridge.LEFT, sheared(-shift)); // to the left, or up
  bridge.setTransform(bridge.RIGHT, sheared(shift));
}
