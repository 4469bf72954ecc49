# bash completion for drainwatch

_drainwatch()
{
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}
    local targets='--process --pid --port --all' output='--output --verbose --help' words=

    if [ "$COMP_CWORD" -eq 1 ]; then
        words='watch profile doctor demo --help --version'
    else
        case $before in
            --output) words='text json' ;;
            --tier) words='auto bpf poll' ;;
            --process) words=$(cat /proc/[0-9]*/comm 2>/dev/null | sort -u | grep -v '[^[:alnum:]._-]') ;;
            --pid) words=$(cd /proc && printf '%s\n' [0-9]*) ;;
            --duration) words='0 10s 1m 1h 4h' ;;
            --warn-after|--critical-after|--horizon) words='500ms 1s 2s 5s 10s' ;;
            --tick) words='10ms 50ms 100ms' ;;
            --cpu-budget) words='0.5% 1% 2%' ;;
            --tls-min) words='1.0 1.1 1.2 1.3' ;;
            --per) words='process socket thread' ;;
            --stacks|--save|--compare|--tls-library|--cm-log) COMPREPLY=($(compgen -f -- "$word")); return ;;
            --log-timezone) words=$(cd /usr/share/zoneinfo 2>/dev/null && printf '%s\n' UTC [A-Z]*/[A-Z]*) ;;
            --port|--max-sockets|--without) ;;
            *)
                case $command in
                    watch) words="$targets --duration --warn-after --critical-after --horizon --tick
                                  --tier --cpu-budget --max-sockets --without --no-tls --no-cause --tls-min
                                  --cm-log --log-timezone $output" ;;
                    profile) words="$targets --duration --per --stacks --save --compare
                                    --tls-library $output" ;;
                    doctor) words="$targets $output" ;;
                    demo) words=$output ;;
                esac
                ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}

complete -F _drainwatch drainwatch
