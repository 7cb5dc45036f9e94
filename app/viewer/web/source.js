// The websocket to the viewer (app/viewer/protocol.py), and the cache of splats.

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

  /** Resolves to the answer's ArrayBuffer, whose data starts at byte 8; rejects with an error message. */
  ask(question) {
    if (!this.open) return Promise.reject(new Error("The connection was lost."));
    const id = this.nextId++ % 2 ** 32;
    this.socket.send(JSON.stringify({ id, ...question }));
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
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
