// Plays what caused a finding, from two seconds before it.
import { useCallback, useEffect, useState } from "react";
import type { Finding } from "../api/client";
import { clip, play, silence } from "../audio/recording";
import { useTell } from "../frame/problems";

const BEFORE_MS = 2000;
const AFTER_MS = 1000;

export function useClip() {
  const tell = useTell();
  const [playing, setPlaying] = useState<Finding | null>(null);
  const [loading, setLoading] = useState<Finding | null>(null);
  useEffect(() => silence, []);
  const toggle = useCallback(
    async (call: string, finding: Finding) => {
      if (playing) {
        silence();
        return;
      }
      const from = Math.max(0, finding.from_ms - BEFORE_MS);
      setLoading(finding);
      try {
        const heard = await clip(call, from, finding.to_ms + AFTER_MS);
        setLoading(null);
        setPlaying(finding);
        await play(heard, from);
      } catch (error) {
        tell.failed(error);
      } finally {
        setLoading(null);
        setPlaying(null);
      }
    },
    [playing, tell],
  );
  return { playing, loading, toggle };
}
