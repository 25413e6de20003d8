# Makes a shell wait in front of its script until the agent gives it arguments.
printf '\n' >&4
exec 4>&-
mapfile -d '' -t -u 3 AG_ORDER
exec 3<&-
set -- "${AG_ORDER[@]:2:AG_ORDER[1]}"
unset AG_ORDER BASH_ENV
SECONDS=0
