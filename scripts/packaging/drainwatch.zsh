#compdef drainwatch
# zsh completion for drainwatch

_drainwatch_processes()
{
    compadd -- ${(fu)"$(cat /proc/[0-9]*/comm 2>/dev/null)"}
}

_drainwatch()
{
    local -a targets output

    targets=(
        '*--process[process by its exact name]:name:_drainwatch_processes'
        '*--pid[process by its pid]:pid:_pids'
        '*--port[only this TCP port, local or remote]:port'
        '--all[every process]'
    )
    output=(
        '--output[text, or json, one object a line]:format:(text json)'
        "--verbose[libbpf's own messages]"
        '--help[print the options]'
    )

    if (( CURRENT == 2 )); then
        _values command \
            'watch[watch, warn, clear]' \
            'profile[measure how fast a process reads, and why]' \
            'doctor[what this host offers for watching]' \
            'demo[a link on loopback whose reader stops]' \
            '--help[print the commands]' \
            '--version[print the version]'
        return
    fi
    case $words[2] in
        watch)
            _arguments : ':command' $targets $output \
                '--duration[stop after this; 0 never]:duration:(0 10s 1m 1h 4h)' \
                '--warn-after[age of unread data that is a warning]:duration:(500ms 1s 2s 5s)' \
                '--critical-after[age of unread data that is critical]:duration:(1s 2s 5s 10s)' \
                '--horizon[warn of a zero window nearer than this]:duration:(2s 5s 10s)' \
                '--tick[how often to look]:duration:(10ms 50ms 100ms)' \
                '--tier[how to watch]:tier:(auto bpf poll)' \
                '--cpu-budget[what it may take of one core]:percent:(0.5% 1% 2%)' \
                '--max-sockets[watched at once, at most]:count' \
                '--no-tls[do not look for TLS handshakes]' \
                '--no-cause[do not look for what a process does instead]' \
                '*--cm-log[follow this Communication Manager log]:log:_files' \
                '--log-timezone[where its times are those of the clock]:time zone:' \
                '--tls-min[an older TLS version is a mismatch]:version:(1.0 1.1 1.2 1.3)' \
                '*--without[do without this tracepoint, or other part]:part'
            ;;
        profile)
            _arguments : ':command' $targets $output \
                '--duration[measure for this long; 0 until told to stop]:duration:(0 10s 1m 10m)' \
                '--per[report each of these as well]:group:(process socket thread)' \
                '--stacks[write the stacks of waits]:file:_files' \
                '--save[keep the profile]:file:_files' \
                '--compare[show a saved profile next to this one]:file:_files' \
                '--tls-library[trace the TLS calls in this file]:file:_files'
            ;;
        doctor) _arguments : ':command' $targets $output ;;
        demo) _arguments : ':command' $output ;;
    esac
}

_drainwatch "$@"
