import java.time.Duration;

/**
 * Kills the broker with SIGKILL while members of a share group work: ShareKill BOOTSTRAP 'COMMAND THAT PRINTS THE PID OF THE BROKER'.
 *
 * Every record is delivered; none is accepted or rejected twice; what was stays so: after one more kill nothing comes again.
 */
final class ShareKill {
  private static final int RECORDS = 36_000;
  private static final int MEMBERS = 3;
  private static final int KILLS = 3;

  private final Cluster cluster;
  private final String pidCommand;
  private final String topic;
  private final ShareMembers members;

  private ShareKill(String bootstrap, String pidCommand) throws Exception {
    this.pidCommand = pidCommand;
    cluster = new Cluster(bootstrap);
    var shares = new Shares(cluster);
    topic = cluster.topic("share-kill", 1);
    var group = shares.group("share.record.lock.duration.ms", "1000", "share.delivery.count.limit", "10");
    members = new ShareMembers(shares, group, topic, MEMBERS);
  }

  public static void main(String[] args) throws Exception {
    new ShareKill(args[0], args[1]).run();
    System.exit(0);
  }

  private void run() throws Exception {
    for (int kill = 1; kill <= KILLS; kill++) {
      // However fast they are, there is more to do than this when it is killed.
      int wanted = members.done() + RECORDS / KILLS / 4;
      cluster.fill(topic, RECORDS / KILLS);
      Scenarios.await(wanted + " records are done with", () -> members.done() >= wanted);
      kill();
    }
    members.end(RECORDS);
    kill();
    members.nothingIsLeft(Duration.ofSeconds(5));
    System.out.printf("%d records: %d done with, %d said to be without an answer, none again after %d kills%n",
        RECORDS, members.done(), RECORDS - members.done(), KILLS + 1);
  }

  private void kill() throws Exception {
    var asked = new ProcessBuilder("sh", "-c", pidCommand).start();
    var pid = Long.parseLong(new String(asked.getInputStream().readAllBytes()).trim());
    var killed = ProcessHandle.of(pid).orElseThrow();
    Scenarios.check(killed.destroyForcibly(), "the broker cannot be killed");
    killed.onExit().join();
    System.out.printf("killed process %d after %d records%n", pid, members.done());
  }
}
