//! A plant's authority made and kept with `openssl`, as the documentation shows it, and mosquitto's
//! tools with its certificates.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use testkit::{ChildGuard, free_port};

use crate::server::{PATIENCE, Setup};

/// What `openssl ca` needs to know which certificates were taken back.
const BOOKS: &str = "\
[ca]
default_ca = plant
[plant]
database = index.txt
crlnumber = crlnumber
default_md = sha256
default_crl_days = 30
";

struct Plant {
    folder: PathBuf,
    port: u16,
}

impl Plant {
    fn found(folder: &Path) -> Plant {
        let plant = Plant {
            folder: folder.to_owned(),
            port: free_port(),
        };
        std::fs::write(folder.join("ca.cnf"), BOOKS).expect("written");
        std::fs::write(folder.join("index.txt"), "").expect("written");
        std::fs::write(folder.join("crlnumber"), "01\n").expect("written");
        std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").expect("written");
        plant.openssl(&format!(
            "req -x509 {KEY} -days 30 -subj /CN=Plant -keyout ca.key -out ca.pem"
        ));
        for name in ["server", "lost", "kept"] {
            plant.openssl(&format!(
                "req {KEY} -subj /CN={name} -keyout {name}.key -out {name}.csr"
            ));
            plant.openssl(&format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
                 -extfile names -out {name}.pem"
            ));
        }
        plant.publish_list();
        plant
    }

    fn openssl(&self, words: &str) {
        let mut command = Command::new("openssl");
        command.args(words.split(' ')).current_dir(&self.folder);
        let output = command.output().expect("openssl");
        assert!(output.status.success(), "{words}: {output:?}");
    }

    fn publish_list(&self) {
        self.openssl("ca -config ca.cnf -keyfile ca.key -cert ca.pem -gencrl -out revoked.pem");
    }

    fn revoke(&self, name: &str) {
        self.openssl(&format!(
            "ca -config ca.cnf -keyfile ca.key -cert ca.pem -revoke {name}.pem"
        ));
        self.publish_list();
    }

    /// Mutual TLS with the plant's list.
    fn serve(&self) -> ChildGuard {
        let file = |name: &str| self.folder.join(name);
        let listener = format!(
            "[{{ kind = \"tls\", address = \"127.0.0.1:{}\", certificate = {:?}, key = {:?}, \
             client_ca = {:?}, crl = {:?}, require_client_certificate = true }}]",
            self.port,
            file("server.pem"),
            file("server.key"),
            file("ca.pem"),
            file("revoked.pem"),
        );
        let setup = Setup::new(&self.folder.join("data"));
        setup.with("MILLRACE_BROKER__LISTENER", listener).start()
    }

    fn mosquitto(&self, tool: &str, name: &str) -> Command {
        // Into a pipe mosquitto_sub would write by the block, long after it has seen something.
        let mut command = Command::new("stdbuf");
        command.args(["-oL", tool, "-h", "localhost", "-p", &self.port.to_string()]);
        command.args(["-V", "5", "--cafile", "ca.pem"]);
        command.args([
            "--cert",
            &format!("{name}.pem"),
            "--key",
            &format!("{name}.key"),
        ]);
        command.current_dir(&self.folder);
        command
    }

    fn publish(&self, name: &str) -> Output {
        let mut command = self.mosquitto("mosquitto_pub", name);
        command.args(["-q", "1", "-m", "{\"t\": 1}"]);
        command.args(["-t", &format!("devices/{name}/telemetry")]);
        command
            .output()
            .expect("mosquitto_pub: `make test` installs it")
    }
}

const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

#[test]
fn a_client_whose_certificate_is_revoked_has_to_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let plant = Plant::found(folder.path());
    let mut server = plant.serve();
    let listen = |name| {
        let mut command = plant.mosquitto("mosquitto_sub", name);
        command.args(["-d", "-t", &format!("devices/{name}/commands/#")]);
        let mut line = ChildGuard::spawn(&mut command);
        // At QoS 0, and not refused.
        line.wait_for_line("Subscribed (mid: 1): 0", PATIENCE);
        line
    };
    let (mut lost, mut kept) = (listen("lost"), listen("kept"));

    plant.revoke("lost");
    server.signal("HUP");
    server.wait_for_line("ended connections whose certificate was revoked", PATIENCE);
    // Not authorized.
    lost.wait_for_line("Received DISCONNECT (135)", PATIENCE);
    let refused = plant.publish("lost");
    assert!(!refused.status.success(), "{refused:?}");
    let published = plant.publish("kept");
    assert!(published.status.success(), "{published:?}");
    assert_eq!(kept.try_wait(), None, "the others stay");
}
