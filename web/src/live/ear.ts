// A call in progress, heard in the browser: one connection (WebRTC), offered and answered in one request.
import { useCallback, useEffect, useRef, useState } from "react";
import { api, body, Problem } from "../api/client";

export type EarState = "off" | "connecting" | "listening" | "taking" | "talking";

interface Line {
  call: string;
  id: string | null;
  connection: RTCPeerConnection;
  sound: HTMLAudioElement;
  microphone: MediaStreamTrack | null;
}

/** How often, and after how long, a take-over is tried until the microphone's first sound has come to the server. */
const TRIES = 15;
const PAUSE_MS = 200;

/** The server speaks A-law alone, as the telephone does: nothing is transcoded on the way. */
function onlyPcma(line: RTCRtpTransceiver) {
  const known = RTCRtpReceiver.getCapabilities("audio")?.codecs ?? [];
  const pcma = known.filter((codec) => codec.mimeType.toUpperCase() === "AUDIO/PCMA");
  if (pcma.length === 0) throw new Problem("no_pcma", 0, "this browser does not speak A-law");
  line.setCodecPreferences(pcma);
}

function open(call: string): Line {
  const connection = new RTCPeerConnection();
  // Both ways from the start: a microphone comes in later without a new agreement.
  const both = connection.addTransceiver("audio", { direction: "sendrecv" });
  onlyPcma(both);
  const sound = new Audio();
  sound.srcObject = new MediaStream([both.receiver.track]);
  return { call, id: null, connection, sound, microphone: null };
}

async function agree(line: Line): Promise<void> {
  const { connection, call } = line;
  await connection.setLocalDescription();
  const sdp = connection.localDescription?.sdp ?? "";
  const answer = await body(api.POST("/api/v1/calls/{id}/listeners", { params: { path: { id: call } }, body: { sdp } }));
  line.id = answer.id;
  await connection.setRemoteDescription({ type: "answer", sdp: answer.sdp });
  await line.sound.play();
}

/** The path of what is asked of one's own connection. */
const path = (line: Line) => ({ params: { path: { id: line.call, listener: line.id ?? "" } } });

/** The microphone, or why there is none. */
async function microphone(): Promise<MediaStreamTrack> {
  // A page that did not come by HTTPS is given none.
  if (!navigator.mediaDevices) throw new Problem("microphone_needs_https", 0, "no secure context");
  const cleaned = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: cleaned });
    return stream.getAudioTracks()[0]!;
  } catch (error) {
    const isRefused = error instanceof DOMException && error.name === "NotAllowedError";
    throw new Problem(isRefused ? "microphone_refused" : "microphone_missing", 0, String(error));
  }
}

async function mute(line: Line) {
  line.microphone?.stop();
  line.microphone = null;
  if (line.connection.signalingState !== "closed") await line.connection.getSenders()[0]?.replaceTrack(null);
}

/** Speaks before it takes over, so that the patient waits for nobody. */
async function takeOver(line: Line) {
  line.microphone = await microphone();
  try {
    await line.connection.getSenders()[0]!.replaceTrack(line.microphone);
    for (let tries = 1; ; tries++) {
      try {
        await body(api.POST("/api/v1/calls/{id}/listeners/{listener}/take-over", path(line)));
        return;
      } catch (error) {
        const isSoon = error instanceof Problem && error.code === "no_microphone" && tries < TRIES;
        if (!isSoon) throw error;
        await new Promise((next) => setTimeout(next, PAUSE_MS));
      }
    }
  } catch (error) {
    await mute(line);
    throw error;
  }
}

function hangUp(line: Line) {
  line.microphone?.stop();
  line.sound.srcObject = null;
  line.connection.close();
  const { call, id } = line;
  if (id === null) return;
  // It ends by itself where this does not arrive.
  void api.DELETE("/api/v1/calls/{id}/listeners/{listener}", { params: { path: { id: call, listener: id } } }).catch(() => undefined);
}

export interface Ear {
  /** Which call is heard. */
  call: string | null;
  state: EarState;
  begin(call: string): Promise<void>;
  end(): void;
  takeOver(): Promise<void>;
  handBack(): Promise<void>;
  /** Ends the patient's call. */
  hangUp(): Promise<void>;
  /** The robot has the patient again, whoever gave them back. */
  released(): void;
}

/** Hears one call at a time; `lost` is told when one is cut off. */
export function useEar(lost: () => void): Ear {
  const line = useRef<Line | null>(null);
  const [{ call, state }, show] = useState<{ call: string | null; state: EarState }>({ call: null, state: "off" });
  const end = useCallback(() => {
    if (line.current) hangUp(line.current);
    line.current = null;
    show({ call: null, state: "off" });
  }, []);
  const begin = useCallback(
    async (call: string) => {
      end();
      const own = open(call);
      line.current = own;
      show({ call, state: "connecting" });
      own.connection.addEventListener("connectionstatechange", () => {
        if (line.current !== own) return;
        const now = own.connection.connectionState;
        if (now === "connected") show({ call, state: "listening" });
        if (now === "failed" || now === "closed") {
          end();
          lost();
        }
      });
      try {
        await agree(own);
      } catch (error) {
        if (line.current === own) end();
        else hangUp(own);
        throw error;
      }
      // Somebody ended it, or began another, while this was agreed on.
      if (line.current !== own) hangUp(own);
    },
    [end, lost],
  );
  const taken = useCallback(async () => {
    const own = line.current;
    if (!own) return;
    show({ call: own.call, state: "taking" });
    try {
      await takeOver(own);
      if (line.current === own) show({ call: own.call, state: "talking" });
    } catch (error) {
      if (line.current === own) show({ call: own.call, state: "listening" });
      throw error;
    }
  }, []);
  const released = useCallback(() => {
    const own = line.current;
    if (!own) return;
    void mute(own);
    show({ call: own.call, state: "listening" });
  }, []);
  const handBack = useCallback(async () => {
    if (!line.current) return;
    await body(api.POST("/api/v1/calls/{id}/listeners/{listener}/hand-back", path(line.current)));
    released();
  }, [released]);
  const ends = useCallback(async () => {
    if (!line.current) return;
    await body(api.POST("/api/v1/calls/{id}/listeners/{listener}/hang-up", path(line.current)));
    end();
  }, [end]);
  useEffect(() => end, [end]);
  return { call, state, begin, end, takeOver: taken, handBack, hangUp: ends, released };
}
