// Both sides of a call as waveforms, with what was found on the time line.
import { Button, Select, Spin } from "antd";
import { useEffect, useImperativeHandle, useRef, useState, type Ref } from "react";
import WaveSurfer from "wavesurfer.js";
import Regions from "wavesurfer.js/plugins/regions";
import { clip } from "../audio/recording";
import { outline, wav } from "../audio/wav";
import { useKeys } from "../frame/keys";
import { Failure } from "../frame/problems";
import { useText } from "../text";
import { clock } from "./transcript";

/** A stretch of the recording with a name. */
export interface Stretch {
  fromMs: number;
  toMs: number;
  name: string;
  suppressed: boolean;
}

export interface PlayerControl {
  playFrom(ms: number): void;
}

const SIDES = [
  { waveColor: "#8c8c8c", progressColor: "#434343" },
  { waveColor: "#69b1ff", progressColor: "#0958d9" },
];
/** What is pressed to go back or on. */
const STEP_S = 5;

export function Player({ call, stretches, onAt, control }: {
  call: string;
  stretches: Stretch[];
  onAt: (ms: number) => void;
  control: Ref<PlayerControl>;
}) {
  const text = useText();
  const drawn = useRef<HTMLDivElement>(null);
  const surfer = useRef<WaveSurfer | null>(null);
  const [state, setState] = useState<{ error?: unknown; lengthMs?: number }>({});
  const [plays, setPlays] = useState(false);
  const [at, setAt] = useState(0);
  const [speed, setSpeed] = useState(1);
  const told = useRef(onAt);
  told.current = onAt;
  const named = useRef(stretches);
  named.current = stretches;

  useEffect(() => {
    let isGone = false;
    let made: WaveSurfer | null = null;
    let url = "";
    setState({});
    void clip(call, 0, null).then(
      (heard) => {
        if (isGone || !drawn.current) return;
        url = URL.createObjectURL(wav(heard));
        const lengthMs = heard.robot.length / 8;
        const regions = Regions.create();
        made = WaveSurfer.create({
          container: drawn.current,
          media: new Audio(url),
          peaks: [outline(heard.robot), outline(heard.patient)],
          duration: lengthMs / 1000,
          height: 52,
          splitChannels: SIDES,
          normalize: true,
          cursorColor: "#cf1322",
          plugins: [regions],
        });
        made.on("timeupdate", (seconds) => {
          setAt(seconds * 1000);
          told.current(seconds * 1000);
        });
        made.on("play", () => setPlays(true));
        made.on("pause", () => setPlays(false));
        made.on("ready", () => {
          for (const { fromMs, toMs, suppressed } of named.current) {
            const color = suppressed ? "rgba(140, 140, 140, 0.25)" : "rgba(207, 19, 34, 0.2)";
            regions.addRegion({ start: fromMs / 1000, end: toMs / 1000, color, drag: false, resize: false });
          }
        });
        surfer.current = made;
        setState({ lengthMs });
      },
      (error: unknown) => !isGone && setState({ error }),
    );
    return () => {
      isGone = true;
      made?.destroy();
      surfer.current = null;
      if (url) URL.revokeObjectURL(url);
    };
  }, [call]);

  const toggle = () => void surfer.current?.playPause();
  useImperativeHandle(control, () => ({
    playFrom: (ms) => {
      surfer.current?.setTime(ms / 1000);
      void surfer.current?.play();
    },
  }));
  useKeys({
    p: toggle,
    ArrowLeft: () => surfer.current?.skip(-STEP_S),
    ArrowRight: () => surfer.current?.skip(STEP_S),
  });

  return (
    <section className="player" data-at={Math.round(at)}>
      {state.error !== undefined && <Failure error={state.error} />}
      {state.error === undefined && state.lengthMs === undefined && <Spin style={{ display: "block", padding: 30 }} />}
      <div className="wave" style={state.lengthMs === undefined ? { display: "none" } : undefined}>
        <div className="sides">
          <span>{text.order.robot}</span>
          <span>{text.order.own}</span>
        </div>
        <div className="drawn" ref={drawn} />
      </div>
      <div className="row" style={{ marginTop: 8, alignItems: "center" }}>
        <Button type="primary" disabled={state.lengthMs === undefined} onClick={toggle}>
          {plays ? text.order.stop : text.qa.play} <kbd>p</kbd>
        </Button>
        <span className="figure">
          {clock(at)} / {clock(state.lengthMs ?? 0)}
        </span>
        <Select
          aria-label={text.qa.speed}
          value={speed}
          options={[1, 1.5, 2].map((value) => ({ value, label: `${value}×` }))}
          onChange={(chosen: number) => {
            setSpeed(chosen);
            surfer.current?.setPlaybackRate(chosen);
          }}
        />
        <span className="quiet">
          <kbd>←</kbd> <kbd>→</kbd> {text.qa.skip}
        </span>
      </div>
    </section>
  );
}
