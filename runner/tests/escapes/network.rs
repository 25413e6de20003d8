//! R06: there is nobody to talk to.

use super::case::{Case, case, walk};

const CASES: &[Case] = &[
    case("R06_metadata_service", "
s = socket.socket(); s.settimeout(2)
tried('metadata', s.connect, ('169.254.169.254', 80))"),
    case("R06_the_internet", "
for host in ('1.1.1.1', '10.0.0.1', '172.17.0.1', '192.168.0.1'):
    s = socket.socket(); s.settimeout(2)
    tried(host, s.connect, (host, 443))"),
    case("R06_the_internet_by_version_6", "
s = socket.socket(socket.AF_INET6); s.settimeout(2)
tried('v6', s.connect, ('2606:4700:4700::1111', 443))"),
    case("R06_datagrams", "
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for host in ('8.8.8.8', '255.255.255.255', '169.254.169.254'): tried(host, s.sendto, b'x', (host, 53))"),
    case("R06_names", "tried('dns', socket.getaddrinfo, 'example.com', 80)"),
    case("R06_the_hosts_loopback", "
import concurrent.futures
def dial(port):
    s = socket.socket(); s.settimeout(1)
    try: s.connect(('127.0.0.1', port)); return port
    except OSError: return None
found = [port for port in map(dial, list(range(1, 1024, 7)) + list(range(30000, 60000, 97))) if port]
print(found)")
    .says("[]"),
    case("R06_sockets_of_daemons", "
for path in ('/var/run/docker.sock', '/run/docker.sock', '/run/containerd/containerd.sock', '/run/systemd/private', '/run/dbus/system_bus_socket', '/run/ask/candidate.sock'):
    tried(path, socket.socket(socket.AF_UNIX).connect, path)"),
    case("R06_abstract_sockets_of_the_host", "
for name in ('/containerd-shim', 'docker', '/org/kernel/linux/storage/multipathd'):
    tried(name, socket.socket(socket.AF_UNIX).connect, chr(0) + name)
print(len(open('/proc/net/unix').read().splitlines()) < 4)")
    .check(|seen| seen.out().ends_with("True\n")),
    case("R06_raw_and_packet_sockets", "
tried('raw', socket.socket, socket.AF_INET, socket.SOCK_RAW, 1)
tried('packet', socket.socket, 17, socket.SOCK_RAW, 3)
tried('vsock', socket.socket, 40, socket.SOCK_STREAM)
tried('alg', socket.socket, 38, socket.SOCK_SEQPACKET)"),
    case("R06_interfaces", "
print([name for _, name in socket.if_nameindex() if name != 'lo'])")
    .says("[]"),
    case("R06_interfaces_cannot_be_made", "
tried('tun', lambda: __import__('fcntl').ioctl(os.open('/dev/net/tun', os.O_RDWR), 0x400454ca, b'x' + bytes(39)))"),
];

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_network() {
    walk(CASES).await;
}
