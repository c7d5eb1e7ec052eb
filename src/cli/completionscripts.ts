/**
 * The shells' side of completion. Each script hands the line to `vlane completion words` and shows what that prints: a
 * candidate on each line, with a tab before what is said about it, and last of all a line `:KIND`, which says what the
 * shell may add from its own knowledge.
 */

const BASH = `# Completion of vlane for bash. Use it with: source <(vlane completion bash)
_vlane() {
	local line=\${COMP_LINE:0:COMP_POINT} words current kind word
	read -ra words <<<"$line"
	[[ $line == *[[:space:]] ]] && words+=("")
	current=\${words[-1]}
	# Bash replaces only what stands behind the last of its own word breaks.
	local kept=\${current%"\${current##*[=:]}"}
	COMPREPLY=()
	while IFS=$'\\t' read -r word _; do
		case $word in
		:*) kind=\${word#:} ;;
		*) COMPREPLY+=("\${word#"$kept"}") ;;
		esac
	done < <("\${words[0]}" completion words -- "\${words[@]:1}" 2>/dev/null)
	current=\${current#"$kept"}
	case $kind in
	files) compopt -o filenames && mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
	directories) compopt -o filenames && mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
	commands) mapfile -t COMPREPLY < <(compgen -c -- "$current") ;;
	esac
}
complete -F _vlane vlane
`;

const ZSH = `#compdef vlane
# Completion of vlane for zsh. Use it with: source <(vlane completion zsh)
_vlane() {
	local -a found
	local line kind
	while IFS= read -r line; do
		case $line in
		:*) kind=\${line#:} ;;
		*) found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}") ;;
		esac
	done < <("\${words[1]}" completion words -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
	case $kind in
	files) _files ;;
	directories) _files -/ ;;
	commands) _command_names -e ;;
	*) _describe vlane found ;;
	esac
}
if [[ $funcstack[1] == _vlane ]]; then _vlane "$@"; else compdef _vlane vlane; fi
`;

const FISH = `# Completion of vlane for fish. Use it with: vlane completion fish | source
function __vlane_complete
	set -l words (commandline -opc) (commandline -ct)
	set -l found (command $words[1] completion words -- $words[2..-1] 2>/dev/null)
	switch "$found[-1]"
		case ":files" ":directories"
			__fish_complete_path (commandline -ct)
		case ":commands"
			__fish_complete_command
		case "*"
			string match -rv "^:" -- $found
	end
end
complete -c vlane -f -a "(__vlane_complete)"
`;

/** By the shell's name. */
export const SCRIPTS: Record<string, string> = { bash: BASH, fish: FISH, zsh: ZSH };
