/** One recording from the microphone. `finish` gives it as a file; `discard` forgets it. */
export class Recording {
  /** `onLevel` hears every 100 ms how long it is, s, and how loud, 0..1. Throws what the browser throws. */
  static async start(onLevel) {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    try {
      return new Recording(stream, onLevel);
    } catch (error) {
      stream.getTracks().forEach((track) => track.stop());
      throw error;
    }
  }

  constructor(stream, onLevel) {
    this.stream = stream;
    this.pieces = [];
    this.since = performance.now();
    this.recorder = new MediaRecorder(stream);
    this.recorder.ondataavailable = (event) => this.pieces.push(event.data);
    this.recorder.start(1000);
    this.sound = new AudioContext();
    const meter = this.sound.createAnalyser();
    this.sound.createMediaStreamSource(stream).connect(meter);
    const wave = new Float32Array(meter.fftSize);
    this.timer = setInterval(() => {
      meter.getFloatTimeDomainData(wave);
      const power = wave.reduce((sum, sample) => sum + sample * sample, 0) / wave.length;
      onLevel(this.seconds, Math.min(1, 4 * Math.sqrt(power)));
    }, 100);
  }

  get seconds() {
    return (performance.now() - this.since) / 1000;
  }

  /** The recorded file; what the browser calls its kind is in its type. */
  async finish(name) {
    const stopped = new Promise((resolve) => (this.recorder.onstop = resolve));
    this.discard();
    await stopped;
    return new File(this.pieces, name, { type: this.recorder.mimeType });
  }

  discard() {
    clearInterval(this.timer);
    if (this.recorder.state !== "inactive") this.recorder.stop();
    this.stream.getTracks().forEach((track) => track.stop());
    this.sound.close();
  }
}
