# Made by TestManuals of cmd/svidhelper.
_svidhelper() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command="" i words=""
	for ((i = 1; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} != -- ]] || return 0
		[[ ${COMP_WORDS[i]} == -* ]] || { [[ -n $command ]] || command=${COMP_WORDS[i]}; }
	done
	if [[ -z $command && $cur != -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "run fetch check config doctor level dev version help" -- "$cur")
		[[ $prev == -* ]] || return 0
	fi
	case $prev in
	-config | --config) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return 0 ;;
	-dir | --dir) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return 0 ;;
	-on-rotation | --on-rotation) mapfile -t COMPREPLY < <(compgen -W "none restart SIGHUP SIGINT SIGQUIT SIGTERM SIGUSR1 SIGUSR2 SIGWINCH" -- "$cur"); return 0 ;;
	-bundle | --bundle) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return 0 ;;
	-password-file | --password-file) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return 0 ;;
	esac
	case ${command:-run} in
	run) words="-agent-address -config -daemon-mode -dir -on-rotation -version" ;;
	fetch) words="jwt x509 -agent-address -config -dir -timeout" ;;
	check) words="-agent -agent-address -audience -bundle -config -dir -json -min-remaining -password-file -ready" ;;
	config) words="check print init schema -here" ;;
	doctor) words="-agent-address -config -dir -json -on-rotation -timeout" ;;
	level) words="debug info warn error -config -dir" ;;
	dev) words="-crl -dns -federated -id -intermediate -jwt-alg -jwt-ttl -key-type -socket -socket-mode -ttl" ;;
	version) words="" ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	case $command in
	check) [[ $cur == -* ]] || mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$cur") ;;
	config) [[ $cur == -* ]] || mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$cur") ;;
	esac
}
complete -o filenames -F _svidhelper svidhelper
