//! SIP over UDP: sockets that tell to which of the machine's addresses a datagram came, so that the answer leaves from there.
//!
//! Not `quinn-udp`: it forbids fragmentation, and SIP messages over the MTU must still leave (RFC 3261 18.1.1).

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd,
};

use nix::{
    cmsg_space,
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
    },
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{io::Interest, net::UdpSocket};

/// Receive buffer in bytes: a storm of calls must not be lost while one message is handled.
const BUFFER: usize = 4 * 1024 * 1024;

/// A bound UDP socket.
#[derive(Debug)]
pub(super) struct Udp {
    socket: UdpSocket,
    bound: SocketAddr,
}

impl Udp {
    pub(super) fn bind(addr: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        if addr.is_ipv6() {
            socket.set_only_v6(true)?;
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        }
        let _ = socket.set_recv_buffer_size(BUFFER);
        let _ = socket.set_send_buffer_size(BUFFER);
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        Ok(Self { bound: socket.local_addr()?, socket })
    }

    pub(super) fn bound(&self) -> SocketAddr {
        self.bound
    }

    /// Waits for one datagram: its length, the address here it was sent to, and its source.
    pub(super) async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)> {
        self.socket.async_io(Interest::READABLE, || self.try_receive(buffer)).await
    }

    fn try_receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)> {
        let mut space = cmsg_space!(nix::libc::in6_pktinfo, nix::libc::in_pktinfo);
        let mut slices = [IoSliceMut::new(buffer)];
        let received = recvmsg::<SockaddrStorage>(
            self.socket.as_raw_fd(),
            &mut slices,
            Some(&mut space),
            MsgFlags::MSG_DONTWAIT,
        )?;
        let mut local = self.bound;
        for message in received.cmsgs()? {
            match message {
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    local.set_ip(IpAddr::from(u32::from_be(info.ipi_addr.s_addr).to_be_bytes()));
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    local.set_ip(IpAddr::from(info.ipi6_addr.s6_addr))
                }
                _ => {}
            }
        }
        let remote = received.address.as_ref().and_then(address).ok_or(io::ErrorKind::InvalidData)?;
        Ok((received.bytes, local, remote))
    }

    /// Sends one datagram, from `local` when the socket is bound to all addresses. A full socket buffer loses it:
    /// SIP retransmits.
    pub(super) fn send(&self, local: Option<IpAddr>, remote: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        self.socket.try_io(Interest::WRITABLE, || self.try_send(local, remote, bytes))
    }

    fn try_send(&self, local: Option<IpAddr>, remote: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let slices = [IoSlice::new(bytes)];
        let to = SockaddrStorage::from(remote);
        let fd = self.socket.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        let from = local.filter(|ip| self.bound.ip().is_unspecified() && !ip.is_unspecified());
        match from {
            Some(IpAddr::V4(ip)) => {
                let info = nix::libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: nix::libc::in_addr { s_addr: u32::from(ip).to_be() },
                    ipi_addr: nix::libc::in_addr { s_addr: 0 },
                };
                sendmsg(fd, &slices, &[ControlMessage::Ipv4PacketInfo(&info)], flags, Some(&to))?;
            }
            Some(IpAddr::V6(ip)) => {
                let info = nix::libc::in6_pktinfo {
                    ipi6_ifindex: 0,
                    ipi6_addr: nix::libc::in6_addr { s6_addr: ip.octets() },
                };
                sendmsg(fd, &slices, &[ControlMessage::Ipv6PacketInfo(&info)], flags, Some(&to))?;
            }
            None => {
                sendmsg(fd, &slices, &[], flags, Some(&to))?;
            }
        }
        Ok(())
    }
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddr::from((v4.ip(), v4.port())));
    }
    storage.as_sockaddr_in6().map(|v6| SocketAddr::from((v6.ip(), v6.port())))
}
