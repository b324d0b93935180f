# Sourced by up, down and ctl: where the cloud's parts are, and how each is started and stopped. Needs bash.
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
STATE=${OPENSTACK_STATE:-/var/tmp/spare-pool-openstack}
PACKAGES_FILE=$STATE.packages # What `up` has installed, for `down --purge`. Outlives the state.
OSD_GB=${OPENSTACK_OSD_GB:-24}

# Everything listens on this address only.
IP=127.0.0.1
KEYSTONE_PORT=${OPENSTACK_KEYSTONE_PORT:-5000}
CINDER_PORT=${OPENSTACK_CINDER_PORT:-8776}
DB_PORT=${OPENSTACK_DB_PORT:-13306}
AMQP_PORT=${OPENSTACK_AMQP_PORT:-15673}
MEMCACHED_PORT=${OPENSTACK_MEMCACHED_PORT:-21211}
EPMD_PORT=${OPENSTACK_EPMD_PORT:-14369}
ERLANG_PORT=${OPENSTACK_ERLANG_PORT:-25674}
CEPH_PORT_V2=3300
CEPH_PORT_V1=6789

# One throwaway password for everything: the cloud is on a loopback address and lives as long as its tests.
PASSWORD=loopback-only

RUN=$STATE/run
LOG=$STATE/log
CEPH_CONF=$STATE/ceph/ceph.conf

# In the order of starting.
PARTS="mariadb memcached epmd rabbitmq ceph-mon ceph-mgr ceph-osd keystone cinder-api cinder-scheduler cinder-volume"

NODE=$(command -v node || true)
# Debian's packages need Debian's own python3, and nobody's OS_* variables or proxies.
for name in $(compgen -e | grep -E '^(PYTHON|PIP_|OS_)|_proxy$|_PROXY$' || true); do unset "$name"; done
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8

say() { printf '[%4ss] %s\n' "$SECONDS" "$*"; }
die() {
  printf 'openstack: %s\n' "$*" >&2
  exit 1
}

# When a process started: a pid alone may have been used again.
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# Is the process that we started under this name still there?
alive() {
  local pid start
  read -r pid start 2>/dev/null <"$RUN/$1.pid" || return 1
  [ "$(started_at "$pid")" = "$start" ] && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null
}

pid_of() { cut -d' ' -f1 "$RUN/$1.pid"; }

# launch NAME COMMAND...: in a session of its own, unless it is running.
launch() {
  local name=$1 pid
  shift
  alive "$name" && return 0
  setsid nohup "$@" >>"$LOG/$name.out" 2>&1 </dev/null 9>&- &
  pid=$!
  sleep 0.2 # nohup has become the command by now, and keeps its start time.
  echo "$pid $(started_at "$pid")" >"$RUN/$name.pid"
}

# halt NAME [SIGNAL]: asks it to end, and ends what is left of its session after 20 s.
halt() {
  local name=$1 signal=${2:-TERM} tries=100 pid
  if alive "$name"; then
    pid=$(pid_of "$name")
    kill -CONT -- "-$pid" 2>/dev/null || true
    kill "-$signal" "$pid" 2>/dev/null || true
    while [ $tries -gt 0 ] && alive "$name"; do
      sleep 0.2
      tries=$((tries - 1))
    done
    kill -KILL -- "-$pid" 2>/dev/null || true
  fi
  rm -f "$RUN/$name.pid"
}

# uwsgi takes TERM for a reload.
stop_signal() { case $1 in keystone | cinder-api) echo INT ;; *) echo TERM ;; esac; }

wait_port() { # PORT SECONDS NAME
  local tries=$(($2 * 5))
  until (exec 3<>"/dev/tcp/$IP/$1") 2>/dev/null; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || die "$3 does not listen on port $1: see $LOG"
    sleep 0.2
  done
}

start() {
  case $1 in
  mariadb)
    launch mariadb mariadbd --no-defaults --user=root --datadir="$STATE/mysql" --socket="$RUN/mysql.sock" \
      --pid-file="$RUN/mariadbd.own.pid" --bind-address=$IP --port="$DB_PORT" --skip-log-bin --skip-name-resolve \
      --performance-schema=OFF --max-connections=400 --innodb-buffer-pool-size=256M \
      --innodb-flush-log-at-trx-commit=2 --character-set-server=utf8mb3
    ;;
  memcached) launch memcached memcached -u root -l $IP -p "$MEMCACHED_PORT" -U 0 -m 64 ;;
  epmd) launch epmd epmd -port "$EPMD_PORT" -address $IP ;;
  rabbitmq)
    start epmd
    launch rabbitmq env HOME="$STATE/rabbitmq" ERL_EPMD_PORT="$EPMD_PORT" ERL_EPMD_ADDRESS=$IP \
      RABBITMQ_NODENAME=spare-pool@localhost RABBITMQ_DIST_PORT="$ERLANG_PORT" \
      RABBITMQ_MNESIA_BASE="$STATE/rabbitmq/mnesia" RABBITMQ_LOG_BASE="$LOG/rabbitmq" \
      RABBITMQ_CONFIG_FILE="$STATE/rabbitmq/rabbitmq.conf" RABBITMQ_CONF_ENV_FILE=/nonexistent \
      RABBITMQ_ENABLED_PLUGINS_FILE="$STATE/rabbitmq/enabled_plugins" \
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none" \
      /usr/lib/rabbitmq/bin/rabbitmq-server
    ;;
  ceph-mon) launch ceph-mon ceph-mon -f -c "$CEPH_CONF" -i a ;;
  ceph-mgr) launch ceph-mgr ceph-mgr -f -c "$CEPH_CONF" -i x ;;
  ceph-osd) launch ceph-osd ceph-osd -f -c "$CEPH_CONF" -i 0 ;;
  keystone)
    launch keystone env OS_KEYSTONE_CONFIG_FILES="$STATE/keystone/keystone.conf" \
      "$(uwsgi)" --http-socket "$IP:$KEYSTONE_PORT" --ini "$STATE/keystone/uwsgi.ini"
    ;;
  cinder-api)
    launch cinder-api "$(uwsgi)" --http-socket "$IP:$CINDER_PORT" --ini "$STATE/cinder/uwsgi.ini" \
      --pyargv "--config-file $STATE/cinder/cinder.conf --log-file $LOG/cinder-api.log"
    ;;
  cinder-scheduler | cinder-volume)
    launch "$1" "$1" --config-file "$STATE/cinder/cinder.conf" --log-file "$LOG/$1.log"
    ;;
  *) die "no part is called $1: $PARTS" ;;
  esac
}

# Debian names it after its Python.
uwsgi() { compgen -G '/usr/bin/uwsgi_python3[0-9]*' | tail -1; }

ceph_() { ceph -c "$CEPH_CONF" --connect-timeout 30 "$@"; }

# Written anew at each start, and when flatten is switched.
write_cinder_conf() {
  local flatten media
  flatten=$(cat "$STATE/cinder/flatten")
  cat >"$STATE/cinder/cinder.conf" <<C
[DEFAULT]
my_ip = $IP
host = spare-pool
state_path = $STATE/cinder
api_paste_config = /etc/cinder/api-paste.ini
resource_query_filters_file = /etc/cinder/resource_filters.json
rootwrap_config = /etc/cinder/rootwrap.conf
auth_strategy = keystone
transport_url = rabbit://openstack:$PASSWORD@$IP:$AMQP_PORT//
enabled_backends = ceph-ssd,ceph-sas
default_volume_type = ceph-ssd
use_stderr = false
[database]
connection = mysql+pymysql://cinder:$PASSWORD@$IP:$DB_PORT/cinder
[coordination]
backend_url = file://$STATE/cinder/coordination
[oslo_concurrency]
lock_path = $STATE/cinder/lock
[oslo_messaging_notifications]
driver = noop
[keystone_authtoken]
www_authenticate_uri = http://$IP:$KEYSTONE_PORT
auth_url = http://$IP:$KEYSTONE_PORT
memcached_servers = $IP:$MEMCACHED_PORT
auth_type = password
project_domain_name = Default
user_domain_name = Default
project_name = service
username = cinder
password = $PASSWORD
region_name = RegionOne
C
  for media in ssd sas; do
    cat >>"$STATE/cinder/cinder.conf" <<C
[ceph-$media]
volume_driver = cinder.volume.drivers.rbd.RBDDriver
volume_backend_name = ceph-$media
rbd_pool = volumes-$media
rbd_user = cinder
rbd_ceph_conf = $CEPH_CONF
rbd_cluster_name = ceph
rbd_flatten_volume_from_snapshot = $flatten
rbd_max_clone_depth = 5
max_over_subscription_ratio = 100
rados_connect_timeout = -1
rados_connection_retries = 3
C
  done
}
