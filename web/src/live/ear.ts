// A call in progress, heard in the browser: one connection (WebRTC), offered and answered in one request.
import { useCallback, useEffect, useRef, useState } from "react";
import { api, body, Problem } from "../api/client";

export type EarState = "off" | "connecting" | "listening";

interface Line {
  call: string;
  id: string | null;
  connection: RTCPeerConnection;
  sound: HTMLAudioElement;
}

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
  return { call, id: null, connection, sound };
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

function hangUp(line: Line) {
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
  useEffect(() => end, [end]);
  return { call, state, begin, end };
}
