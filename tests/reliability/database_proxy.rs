//! A proxy between the service and its database that can delay, drop or cut the traffic.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// The state of the network between the service and its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkState {
    /// Data arrives after this delay.
    Delayed(Duration),
    /// Data is dropped without an error.
    Silent,
    /// Every connection is closed.
    Cut,
}

/// A TCP proxy to a PostgreSQL that listens on a Unix socket.
pub struct DatabaseProxy {
    address: SocketAddr,
    network: watch::Sender<NetworkState>,
    /// How often the open connections were frozen.
    freezes: watch::Sender<u64>,
}

impl DatabaseProxy {
    /// Starts a proxy to the database at this URL, without a delay.
    pub async fn start(url: &str) -> Self {
        let url = url::Url::parse(url).unwrap();
        let folder = url.query_pairs().find(|(name, _)| name == "host").unwrap().1.into_owned();
        let socket = PathBuf::from(folder).join(".s.PGSQL.5432");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (network, state) = watch::channel(NetworkState::Delayed(Duration::ZERO));
        let (freezes, frozen) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connect(stream, socket.clone(), state.clone(), frozen.clone()));
            }
        });
        Self { address, network, freezes }
    }

    /// Returns the address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Freezes the connections that are open now: they stay open, but no data arrives any more.
    pub fn freeze_connections(&self) {
        self.freezes.send_modify(|freezes| *freezes += 1);
    }

    /// Returns the database's URL through the proxy.
    pub fn url(&self) -> String {
        format!("postgres://contacts@{}/template?sslmode=disable", self.address)
    }

    /// Changes the state of the network, also for open connections.
    pub fn set_state(&self, network: NetworkState) {
        self.network.send_replace(network);
    }
}

/// Forwards both directions of a connection until it is closed or cut.
async fn connect(
    stream: TcpStream,
    socket: PathBuf,
    mut state: watch::Receiver<NetworkState>,
    mut freezes: watch::Receiver<u64>,
) {
    freezes.mark_unchanged();
    let Ok(database) = UnixStream::connect(socket).await else { return };
    let (from_service, to_service) = stream.into_split();
    let (from_database, to_database) = database.into_split();
    let mut requests = pin!(forward(from_service, to_database, state.clone()));
    let mut responses = pin!(forward(from_database, to_service, state.clone()));
    let is_frozen = tokio::select! {
        () = &mut requests => false,
        () = &mut responses => false,
        _ = state.wait_for(|network| *network == NetworkState::Cut) => false,
        Ok(()) = freezes.changed() => true,
    };
    if is_frozen {
        // Both directions are still open.
        std::future::pending::<()>().await;
    }
}

/// Forwards data as the state of the network allows.
async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<NetworkState>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        // Data sent while the network is silent stays lost, and so does this direction of the connection.
        let NetworkState::Delayed(delay) = *state.borrow_and_update() else { std::future::pending().await };
        tokio::time::sleep(delay).await;
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
