//! An embedded Kubernetes API with a StatefulSet controller and a process kubelet.
