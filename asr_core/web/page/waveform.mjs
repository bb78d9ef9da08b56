export const PEAKS_A_SECOND = 100;

const LONGEST_S = 20 * 60; // decoding takes all of the sound into memory, 350 kB a second for stereo
const LARGEST = 250e6; // bytes
const LARGEST_OF_UNKNOWN_LENGTH = 4e6;

/**
 * The sound's length, and its largest amplitude in each hundredth of a second (0..1, scaled so that the loudest is 1).
 * Null if it is too long to be decoded in a browser's tab, or of a kind that the browser does not know.
 */
export async function waveform(file, seconds) {
  const known = Number.isFinite(seconds);
  if (known ? seconds > LONGEST_S || file.size > LARGEST : file.size > LARGEST_OF_UNKNOWN_LENGTH) return null;
  let sound;
  try {
    sound = await new OfflineAudioContext(1, 1, 8000).decodeAudioData(await file.arrayBuffer());
  } catch {
    return null;
  }
  return { seconds: sound.duration, peaks: peaksOf(sound.getChannelData(0), sound.sampleRate) };
}

/** Of samples at `rate` Hz. */
export function peaksOf(wave, rate) {
  const step = rate / PEAKS_A_SECOND;
  const peaks = new Float32Array(Math.ceil(wave.length / step));
  for (let i = 0; i < wave.length; i++) {
    const slot = Math.floor(i / step);
    peaks[slot] = Math.max(peaks[slot], Math.abs(wave[i]));
  }
  const loudest = peaks.reduce((a, b) => Math.max(a, b), 0) || 1;
  return peaks.map((peak) => peak / loudest);
}
