// Who has an account: roles, wards, whether it is locked.
import { Spin, Table, Tag } from "antd";
import { useQuery } from "@tanstack/react-query";
import { api, body } from "../api/client";
import { Failure } from "../frame/problems";
import { useText, word } from "../text";
import { useTimes } from "../text/times";

export default function People() {
  const text = useText();
  const { date, moment } = useTimes();
  const found = useQuery({ queryKey: ["staff"], queryFn: () => body(api.GET("/api/v1/staff")) });
  if (found.error) return <Failure error={found.error} again={() => void found.refetch()} />;
  if (!found.data) return <Spin />;
  return (
    <div className="page">
      <h1>{text.pages.people}</h1>
      <Table
        size="small"
        rowKey="name"
        dataSource={found.data.items}
        pagination={{ pageSize: 50, showSizeChanger: false, hideOnSinglePage: true }}
        columns={[
          { title: text.signIn.name, dataIndex: "name", render: (name: string) => <span translate="no">{name}</span> },
          { title: text.admin.people.shown, dataIndex: "display_name", render: (name: string) => <span translate="no">{name}</span> },
          { title: text.admin.people.roles, dataIndex: "roles", render: (roles: string[]) => roles.map((role) => <Tag key={role}>{word(text.admin.role, role)}</Tag>) },
          { title: text.ward, key: "wards", render: (_, { wards }) => (wards ? <span translate="no">{wards.join(", ") || text.admin.people.noWard}</span> : text.all) },
          { title: text.admin.people.secondFactor, dataIndex: "two_factor", render: (on: boolean) => (on ? text.admin.yes : text.admin.no) },
          {
            title: text.admin.people.state,
            key: "state",
            render: (_, { active, locked_until }) =>
              !active ? <Tag>{text.admin.people.ended}</Tag> : locked_until ? <Tag color="red">{text.admin.people.locked(moment(locked_until))}</Tag> : <Tag color="green">{text.admin.people.active}</Tag>,
          },
          { title: text.admin.people.since, dataIndex: "created_at", render: (at: string) => date(at) },
        ]}
      />
      <p className="quiet">{text.admin.people.help}</p>
    </div>
  );
}
