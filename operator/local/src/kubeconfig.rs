//! The kubeconfig with which kubectl finds this server.

/// A kubeconfig whose current context is the server at `server_url` (for example `http://127.0.0.1:8001`)
/// and the namespace `default`.
pub fn kubeconfig(server_url: &str) -> String {
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         clusters:\n\
         - name: local\n  cluster:\n    server: {server_url}\n\
         users:\n\
         - name: local\n  user: {{}}\n\
         contexts:\n\
         - name: local\n  context:\n    cluster: local\n    user: local\n    namespace: default\n\
         current-context: local\n"
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_kubeconfig_names_the_server_and_is_yaml() {
        let parsed: serde_json::Value = serde_yaml::from_str(&super::kubeconfig("http://127.0.0.1:1")).unwrap();
        assert_eq!(parsed["clusters"][0]["cluster"]["server"], "http://127.0.0.1:1");
        assert_eq!(parsed["contexts"][0]["context"]["namespace"], "default");
    }
}
