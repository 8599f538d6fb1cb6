/** The Java client on scenarios of our own: JavaClient BOOTSTRAP [PART OF THE NAMES OF SCENARIOS]. */
final class JavaClient {
  public static void main(String[] args) {
    var cluster = new Cluster(args[0]);
    var scenarios = new Scenarios(args.length > 1 ? args[1] : "");
    new Producers(cluster).all(scenarios);
    new Transactions(cluster).all(scenarios);
    new Consumers(cluster).all(scenarios);
    new Groups(cluster).all(scenarios);
    new Shares(cluster).all(scenarios);
    new TopicAdmin(cluster).all(scenarios);
    new ClusterAdmin(cluster).all(scenarios);
    System.exit(scenarios.sum() ? 0 : 1);
  }
}
