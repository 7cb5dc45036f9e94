// Where the player's data come from: a server's websocket (app/viewer/protocol.py), or the page itself.

import { fromBase64, inflate, Recording } from "ar4d/recording.js";

const RETRY_MS = [300, 1000, 2000, 5000];
export const CLOSED = 4404; // the viewer does not exist, or no longer exists

/** Sends questions and passes the state on; reconnects by itself. */
export class Source {
  /** @param {{state: Function, lost: Function, closed: Function}} listener */
  constructor(url, listener) {
    this.url = url;
    this.listener = listener;
    this.waiting = new Map(); // id → {resolve, reject}
    this.nextId = 0;
    this.attempt = 0;
    this.connect();
  }

  connect() {
    this.socket = new WebSocket(this.url);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = (event) => this.receive(event.data);
    this.socket.onclose = (event) => {
      for (const { reject } of this.waiting.values()) reject(new Error("The connection was lost."));
      this.waiting.clear();
      if (event.code === CLOSED) return this.listener.closed();
      this.listener.lost();
      setTimeout(() => this.connect(), RETRY_MS[Math.min(this.attempt++, RETRY_MS.length - 1)]);
    };
  }

  get open() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  receive(data) {
    if (data instanceof ArrayBuffer) {
      this.settle(new DataView(data).getUint32(0, true))?.resolve(data);
      return;
    }
    const message = JSON.parse(data);
    if (message.state) {
      this.attempt = 0;
      this.listener.state(message.state);
    } else {
      this.settle(message.id)?.reject(new Error(message.error));
    }
  }

  settle(id) {
    const waiter = this.waiting.get(id);
    this.waiting.delete(id);
    return waiter;
  }

  /** A frame of the clip: a picture file's bytes. */
  async input(frame) {
    return new Uint8Array(await this.ask({ want: "input", frame }), 8);
  }

  /** The splats of a stage at a position in frames. */
  async splats(stage, position) {
    return new Uint32Array(await this.ask({ want: "splats", stage, position }), 8);
  }

  /** Fetches the recording of the finished asset, once for each revision of the run. */
  async fetchRecording({ revision, numFrames, stages }) {
    if (this.recorded?.revision === revision) return;
    const recorded = { revision, stage: stages.at(-1).name, last: Math.max(numFrames - 1, 1), recording: null };
    this.recorded = recorded;
    try {
      const answer = await this.ask({ want: "recording" });
      const length = new DataView(answer).getUint32(8, true);
      const meta = JSON.parse(new TextDecoder().decode(new Uint8Array(answer, 12, length)));
      recorded.recording = new Recording(meta, await inflate(new Uint8Array(answer, 12 + length)));
    } catch (error) {
      if (this.recorded === recorded) this.recorded = null; // its splats are then asked for one by one
      throw error;
    }
  }

  /** Whether a stage's recording is on its way, so that its splats need not be asked for. */
  expects(stage) {
    return this.recorded?.stage === stage && !this.recorded.recording;
  }

  /** Whether `evaluate` has the splats of a stage; else they have to be asked for. */
  holds(stage) {
    return this.recorded?.stage === stage && Boolean(this.recorded.recording);
  }

  evaluate(_stage, position) {
    return this.recorded.recording.at(position / this.recorded.last);
  }

  /** Resolves to the answer's ArrayBuffer, whose data starts at byte 8; rejects with an error message. */
  ask(question) {
    if (!this.open) return Promise.reject(new Error("The connection was lost."));
    const id = this.nextId++ % 2 ** 32;
    this.socket.send(JSON.stringify({ id, ...question }));
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }
}

/** A finished asset inside the page; nothing is asked for. */
export class Recorded {
  /**
   * @param {{state: any, meta: any, data: string, inputs: string[]}} recorded
   * @param {{state: Function, broken: Function}} listener
   */
  constructor({ state, meta, data, inputs }, listener) {
    this.inputs = inputs;
    this.last = Math.max(state.numFrames - 1, 1);
    inflate(fromBase64(data)).then(
      (bytes) => {
        this.recording = new Recording(meta, bytes);
        listener.state(state);
      },
      () => listener.broken("The data of this page are damaged; download or export it again."),
    );
  }

  get open() {
    return true;
  }

  async input(frame) {
    return fromBase64(this.inputs[frame]);
  }

  expects() {
    return false;
  }

  holds() {
    return true;
  }

  /** The splats at a position in frames, at once. */
  evaluate(_stage, position) {
    return this.recording.at(position / this.last);
  }
}

/** A cache of splats with a maximum size; the least recently used are dropped first. */
export class Cache {
  constructor(maxBytes) {
    this.maxBytes = maxBytes;
    this.bytes = 0;
    this.values = new Map();
  }

  get(key) {
    const value = this.values.get(key);
    if (value === undefined) return undefined;
    this.values.delete(key);
    this.values.set(key, value);
    return value;
  }

  has(key) {
    return this.values.has(key);
  }

  set(key, value) {
    this.values.set(key, value);
    this.bytes += value.byteLength;
    for (const [oldest, { byteLength }] of this.values) {
      if (this.bytes <= this.maxBytes || this.values.size === 1) break;
      this.values.delete(oldest);
      this.bytes -= byteLength;
    }
  }

  clear() {
    this.values.clear();
    this.bytes = 0;
  }
}
