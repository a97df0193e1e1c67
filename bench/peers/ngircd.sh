#!/bin/sh
# ngircd, a chat server in C, as it comes but for its limits. Prints the same line as our servers, then becomes ngircd.
conf=$(mktemp)
port=$((20000 + $$ % 10000))
cat > "$conf" << END
[Global]
Name = irc.test
Info = benchmark
Listen = 127.0.0.1
Ports = $port
ServerUID = $(id -u)
ServerGID = $(id -g)
[Limits]
MaxConnections = 0
MaxConnectionsIP = 0
MaxJoins = 0
MaxPenaltyTime = 0
PingTimeout = 3600
[Options]
DNS = no
Ident = no
PAM = no
END
echo "listening on tcp://127.0.0.1:$port"
exec ngircd -n -f "$conf" > /dev/null 2>&1
