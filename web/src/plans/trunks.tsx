// The way to the telephone network, and how its last calls went.
import { Card, Descriptions, Spin, Tag } from "antd";
import { useQuery } from "@tanstack/react-query";
import { api, body } from "../api/client";
import { Failure } from "../frame/problems";
import { useText, word } from "../text";
import { useTimes } from "../text/times";

const COLOUR: Record<string, string> = { ok: "green", failing: "orange", resting: "red", unused: "default" };

export default function Trunks() {
  const text = useText();
  const { moment } = useTimes();
  const found = useQuery({ queryKey: ["trunks"], queryFn: () => body(api.GET("/api/v1/trunks")), refetchInterval: 10_000 });
  if (found.error) return <Failure error={found.error} again={() => void found.refetch()} />;
  if (!found.data) return <Spin />;
  return (
    <>
      {found.data.items.map((trunk) => (
        <Card key={trunk.name} size="small" title={<span translate="no">{trunk.name}</span>} extra={<Tag color={COLOUR[trunk.health] ?? "default"}>{word(text.admin.health, trunk.health)}</Tag>}>
          <Descriptions size="small" column={3}>
            <Descriptions.Item label={text.admin.plans.lines}>
              {trunk.live} / {trunk.lines}
            </Descriptions.Item>
            <Descriptions.Item label={text.admin.plans.pace}>{trunk.calls_per_second ?? text.admin.plans.unlimited}</Descriptions.Item>
            <Descriptions.Item label={text.admin.plans.targets}>
              <span translate="no">{trunk.targets.join(", ")}</span>
            </Descriptions.Item>
            <Descriptions.Item label={text.admin.plans.failures}>{trunk.failed_in_a_row}</Descriptions.Item>
            <Descriptions.Item label={text.admin.plans.lastCall}>{trunk.last_call_at ? moment(trunk.last_call_at) : "–"}</Descriptions.Item>
            <Descriptions.Item label={text.admin.plans.network}>{trunk.loopback ? text.admin.plans.loopback : text.admin.plans.real}</Descriptions.Item>
          </Descriptions>
          <h2>{text.admin.plans.endings(trunk.last)}</h2>
          {Object.entries(trunk.endings).map(([ended, count]) => (
            <Tag key={ended} color={ended === "trunk_failure" ? "red" : "default"}>
              {word(text.disposition, ended)} {count}
            </Tag>
          ))}
        </Card>
      ))}
    </>
  );
}
