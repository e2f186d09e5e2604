# SPDX-License-Identifier: MIT
# What lists of mutants look like, for the scripts here.  An entry is
#	@ FILE TESTS	then lines that begin with
#	- 		the text that is replaced, its first occurrence in the file
#	+ 		what by
#	= 		the reason, if no test can tell the difference

# Replace a text in the copy of a file, literally.
replace() { # ORIGINAL COPY FROM TO
	from=$3 to=$4 awk '
		!done && (at = index($0, ENVIRON["from"])) {
			$0 = substr($0, 1, at - 1) ENVIRON["to"] substr($0, at + length(ENVIRON["from"]))
			done = 1
		}
		{ print }
		END { exit !done }' "$1" >"$2.mutated" && cat "$2.mutated" >"$2"
	status=$?
	rm -f "$2.mutated"
	return $status
}

# Whether entry NUMBER is to be tried: one of $only, or any where there are none.
is_wanted() { # NUMBER
	case "$only" in
	"  " | *" $1 "*) true ;;
	*) false ;;
	esac
}

# The first of these tests that fails; "passes NAME" is the script's.
first_failure() { # NAME...
	for name; do
		passes "$name" || {
			echo "$name"
			return
		}
	done
}

# Hands each entry to a function: FILE TESTS FROM TO REASON.
each_entry() { # LIST FUNCTION
	file=
	while IFS= read -r line; do
		case "$line" in
		"@ "*)
			[ -z "$file" ] || "$2" "$file" "$tests" "$from" "$to" "$reason"
			rest=${line#@ }
			file=${rest%% *}
			tests=${rest#* }
			reason= ;;
		"- "*) from=${line#- } ;;
		"+ "*) to=${line#+ } ;;
		"+") to= ;;
		"= "*) reason=${line#= } ;;
		esac
	done <"$1"
	[ -z "$file" ] || "$2" "$file" "$tests" "$from" "$to" "$reason"
}
