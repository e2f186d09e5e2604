# SPDX-License-Identifier: MIT
# The Test Anything Protocol for tests in shell.  Such a test sources this file first, then says
#	report STATUS NAME	after each part: 0 is a success; what why prints goes with a failure
#	finish			at its end; a test that ends without it has failed
number=0
failed=0

why() { # what went wrong last; a test may have a why of its own
	cat "$work/errors"
}

report() { # STATUS NAME
	number=$((number + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $number - $2"
	else
		failed=1
		why | sed 's/^/# /'
		echo "not ok $number - $2"
	fi
}

finish() {
	echo "1..$number"
	exit $failed
}

echo "TAP version 13"
