# fish completion for drainwatch

set -l any __fish_use_subcommand
set -l watch '__fish_seen_subcommand_from watch'
set -l profile '__fish_seen_subcommand_from profile'
set -l targets '__fish_seen_subcommand_from watch profile doctor'
set -l output '__fish_seen_subcommand_from watch profile doctor demo'

complete -c drainwatch -f
complete -c drainwatch -l help -d 'Print the commands, or the options of one'
complete -c drainwatch -n $any -l version -d 'Print the version'
complete -c drainwatch -n $any -a watch -d 'Watch, warn, clear'
complete -c drainwatch -n $any -a profile -d 'How fast a process reads, and why'
complete -c drainwatch -n $any -a doctor -d 'What this host offers for watching'
complete -c drainwatch -n $any -a demo -d 'A link on loopback whose reader stops'

complete -c drainwatch -n $targets -l process -x -a '(cat /proc/*/comm 2>/dev/null | sort -u)' -d 'Process by its exact name'
complete -c drainwatch -n $targets -l pid -x -a '(__fish_complete_pids)' -d 'Process by its pid'
complete -c drainwatch -n $targets -l port -x -d 'Only this TCP port, local or remote'
complete -c drainwatch -n $targets -l all -d 'Every process'
complete -c drainwatch -n $output -l output -x -a 'text json' -d 'Text, or one JSON object a line'
complete -c drainwatch -n $output -l verbose -d "libbpf's own messages"

complete -c drainwatch -n $profile -l duration -x -a '0 10s 1m 10m' -d 'Measure for this long; 0 until told to stop'
complete -c drainwatch -n $profile -l per -x -a 'process socket thread' -d 'Report each of these as well'
complete -c drainwatch -n $profile -l stacks -r -F -d 'Write the stacks of waits'
complete -c drainwatch -n $profile -l save -r -F -d 'Keep the profile'
complete -c drainwatch -n $profile -l compare -r -F -d 'Show a saved profile next to this one'
complete -c drainwatch -n $profile -l tls-library -r -F -d 'Trace the TLS calls in this file'

complete -c drainwatch -n $watch -l duration -x -a '0 10s 1m 1h 4h' -d 'Stop after this; 0 never'
complete -c drainwatch -n $watch -l warn-after -x -a '500ms 1s 2s 5s' -d 'Age of unread data that is a warning'
complete -c drainwatch -n $watch -l critical-after -x -a '1s 2s 5s 10s' -d 'Age of unread data that is critical'
complete -c drainwatch -n $watch -l horizon -x -a '2s 5s 10s' -d 'Warn of a zero window nearer than this'
complete -c drainwatch -n $watch -l tick -x -a '10ms 50ms 100ms' -d 'How often to look'
complete -c drainwatch -n $watch -l tier -x -a 'auto bpf poll' -d 'How to watch'
complete -c drainwatch -n $watch -l cpu-budget -x -a '0.5% 1% 2%' -d 'What it may take of one core'
complete -c drainwatch -n $watch -l max-sockets -x -d 'Watched at once, at most'
complete -c drainwatch -n $watch -l without -x -d 'Do without this tracepoint, or other part'
complete -c drainwatch -n $watch -l no-tls -d 'Do not look for TLS handshakes'
complete -c drainwatch -n $watch -l no-cause -d 'Do not look for what a process does instead'
complete -c drainwatch -n $watch -l cm-log -r -F -d 'Follow this Communication Manager log'
complete -c drainwatch -n $watch -l log-timezone -x -d 'Where its times are those of the clock'
complete -c drainwatch -n $watch -l tls-min -x -a '1.0 1.1 1.2 1.3' -d 'An older TLS version is a mismatch'
