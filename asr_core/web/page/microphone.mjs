const LEVEL_EVERY_MS = 100;
const PIECE_MS = 1000;

/** One recording from the microphone. `finish` gives it as a file, also when the microphone is gone; `discard` forgets it. */
export class Recording {
  /**
   * `onLevel` hears every 100 ms how long it is, s, and how loud, 0..1; `onLost` that the microphone has vanished.
   * Throws what the browser throws.
   */
  static async start(events) {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    try {
      return new Recording(stream, events);
    } catch (error) {
      closeAll(stream);
      throw error;
    }
  }

  constructor(stream, { onLevel, onLost }) {
    this.stream = stream;
    this.pieces = [];
    this.isOpen = true;
    this.recorder = new MediaRecorder(stream);
    this.recorder.ondataavailable = (event) => this.pieces.push(event.data);
    this.recorder.onerror = () => this.#stop();
    // It may stop by itself, long before anybody asks for the file: when the microphone is unplugged.
    this.stopped = new Promise((resolve) => (this.recorder.onstop = resolve));
    this.recorder.start(PIECE_MS);
    this.#measure(onLevel);
    this.stopped.then(() => {
      if (this.isOpen) onLost();
      this.#close();
    });
  }

  #measure(onLevel) {
    const since = performance.now();
    this.sound = new AudioContext();
    const meter = this.sound.createAnalyser();
    this.sound.createMediaStreamSource(this.stream).connect(meter);
    const wave = new Float32Array(meter.fftSize);
    this.timer = setInterval(() => {
      meter.getFloatTimeDomainData(wave);
      const power = wave.reduce((sum, sample) => sum + sample * sample, 0) / wave.length;
      onLevel((performance.now() - since) / 1000, Math.min(1, 4 * Math.sqrt(power)));
    }, LEVEL_EVERY_MS);
  }

  /** The recorded file, empty if nothing was; what the browser calls its kind is in its type. */
  async finish(name) {
    this.discard();
    await this.stopped;
    return new File(this.pieces, name, { type: this.recorder.mimeType });
  }

  discard() {
    this.#stop();
    this.#close();
  }

  #stop() {
    if (this.recorder.state !== "inactive") this.recorder.stop();
  }

  #close() {
    if (!this.isOpen) return;
    this.isOpen = false;
    clearInterval(this.timer);
    closeAll(this.stream);
    this.sound.close();
  }
}

/** Give the microphone back. */
function closeAll(stream) {
  stream.getTracks().forEach((track) => track.stop());
}
