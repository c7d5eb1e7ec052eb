/** `vlane host ls`. */
import type { ApiHost } from "../../control/types.js";
import { Client } from "../client.js";
import { type ListLayout, printList, shortId } from "../list.js";
import type { Invocation } from "../table/spec.js";
import { humanDuration } from "../time.js";

const LAYOUT: ListLayout = {
	headers: {
		Endpoints: "ENDPOINTS",
		ID: "HOST ID",
		Joined: "JOINED",
		Name: "NAME",
		State: "STATE",
		Status: "STATUS",
		Version: "VERSION",
	},
	table: "{{.ID}}\t{{.Name}}\t{{.Status}}\t{{.Endpoints}}\t{{.Version}}",
};

/** Lists the hosts by their names. */
export async function run({ flags, host }: Invocation): Promise<number> {
	const hosts = await new Client(host).get<ApiHost[]>("/hosts");
	const rows = hosts.map((each) => ({
		Endpoints: String(each.Endpoints),
		ID: shortId(each.Id, flags.bool("no-trunc") ?? false),
		Joined: each.Joined,
		Name: each.Name,
		State: each.Status,
		Status: statusOf(each),
		Version: each.Version,
	}));
	printList(LAYOUT, rows, flags);
	return 0;
}

function statusOf({ Status, Since, LeasesOver, Self }: ApiHost): string {
	const forLong = Since === "" ? "" : ` for ${humanDuration(Date.now() - Date.parse(Since))}`;
	return `${Status}${forLong}${LeasesOver ? ", addresses may be given to others" : ""}${Self ? " (this host)" : ""}`;
}
