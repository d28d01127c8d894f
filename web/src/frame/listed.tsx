// A list that the server pages: waiting, failed, empty, its rows, and more of them.
import type { InfiniteData, UseInfiniteQueryResult } from "@tanstack/react-query";
import { Button, Empty, Spin } from "antd";
import type { ReactNode } from "react";
import { useText } from "../text";
import { Failure } from "./problems";

export function Listed<T>({ found, empty, columns, row }: {
  found: UseInfiniteQueryResult<InfiniteData<{ items: T[] }>>;
  empty: string;
  columns: string[];
  row: (item: T) => ReactNode;
}) {
  const text = useText();
  const items = found.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <>
      {found.error && <Failure error={found.error} again={() => void found.refetch()} />}
      <div className="list">
        {found.isPending && <Spin style={{ display: "block", padding: 40 }} />}
        {found.data && items.length === 0 && <Empty description={empty} style={{ padding: 40 }} />}
        {items.length > 0 && (
          <table className="plain">
            <thead>
              <tr>
                {columns.map((column) => (
                  <th key={column}>{column}</th>
                ))}
              </tr>
            </thead>
            <tbody>{items.map(row)}</tbody>
          </table>
        )}
        {found.hasNextPage && (
          <div style={{ padding: 12 }}>
            <Button block loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
              {text.more}
            </Button>
          </div>
        )}
      </div>
    </>
  );
}
