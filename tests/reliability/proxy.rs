//! A network between the service and its database, which can be slow, silent or cut.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// What becomes of what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// It arrives after this time.
    Delayed(Duration),
    /// It never arrives, and no one says so.
    Silent,
    /// Every connection is cut.
    Cut,
}

/// A way to a PostgreSQL that listens on a Unix socket.
pub struct Proxy {
    address: SocketAddr,
    network: watch::Sender<Network>,
}

impl Proxy {
    /// One to the database at this URL, without a delay.
    pub async fn to(url: &str) -> Self {
        let url = url::Url::parse(url).unwrap();
        let folder = url.query_pairs().find(|(name, _)| name == "host").unwrap().1.into_owned();
        let socket = PathBuf::from(folder).join(".s.PGSQL.5432");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (network, state) = watch::channel(Network::Delayed(Duration::ZERO));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connect(stream, socket.clone(), state.clone()));
            }
        });
        Self { address, network }
    }

    /// The database's URL by this way.
    pub fn url(&self) -> String {
        format!("postgres://contacts@{}/template?sslmode=disable", self.address)
    }

    /// From now on the network is like this.
    pub fn set(&self, network: Network) {
        self.network.send_replace(network);
    }
}

async fn connect(stream: TcpStream, socket: PathBuf, mut state: watch::Receiver<Network>) {
    let Ok(database) = UnixStream::connect(socket).await else { return };
    let (from_service, to_service) = stream.into_split();
    let (from_database, to_database) = database.into_split();
    tokio::select! {
        () = pass(from_service, to_database, state.clone()) => {}
        () = pass(from_database, to_service, state.clone()) => {}
        _ = state.wait_for(|network| *network == Network::Cut) => {}
    }
}

/// Passes on what arrives, as the network lets it.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut state: watch::Receiver<Network>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        // A silent network loses what is sent now, also when it speaks again later.
        let Network::Delayed(delay) = *state.borrow_and_update() else { std::future::pending().await };
        tokio::time::sleep(delay).await;
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
