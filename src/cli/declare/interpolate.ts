/** Variables in texts, as the Compose specification has them. */

const REFERENCE =
	/\$(?:(?<dollar>\$)|(?<bare>[A-Za-z_]\w*)|\{(?<name>[A-Za-z_]\w*)(?:(?<operator>:?[-?+])(?<word>[^}]*))?\})?/g;

/**
 * Replaces `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME:+other}` and `${NAME:?message}`; without the colon, a
 * variable that is empty counts as set. `$$` is a dollar sign.
 * @throws Error for a variable that is not set and has no default, and for what is no reference
 */
export function interpolate(text: string, variables: NodeJS.ProcessEnv): string {
	return text.replace(REFERENCE, (...rest) => {
		const {
			dollar,
			bare,
			name = bare,
			operator = "",
			word = "",
		} = rest.at(-1) as unknown as Record<string, string | undefined>;
		if (dollar) return "$";
		if (name === undefined)
			throw new Error(`invalid variable reference in ${JSON.stringify(text)}; write $$ for a dollar sign`);
		const value = variables[name];
		const isSet = value !== undefined && (value !== "" || !operator.startsWith(":"));
		switch (operator.at(-1)) {
			case "-":
				return isSet ? value : word;
			case "+":
				return isSet ? word : "";
			case "?":
				if (!isSet) throw new Error(`variable ${name} is not set${word && `: ${word}`}`);
				return value;
			default:
				if (value === undefined)
					throw new Error(`variable ${name} is not set; write \${${name}:-DEFAULT} to do without it`);
				return value;
		}
	});
}
