//! The Ottla operator for Kubernetes.
