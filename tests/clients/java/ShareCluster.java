import java.time.Duration;
import java.util.List;
import java.util.function.Predicate;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.common.TopicPartitionInfo;

/**
 * Members of a share group work while the brokers that lead what they need are killed in turn, and while leaders change
 * without one: ShareCluster BOOTSTRAP. It says on its output what is to be done with the brokers, a line for each: `kill ID`,
 * `start ID`, or `elect`, which is to have the preferred replicas lead again; and `group ID`, the group that works.
 *
 * Every record is delivered; none is accepted or rejected twice; what was stays so: after one more kill nothing comes again.
 */
final class ShareCluster {
  /** So many come at once, of which some are left to do in any case when a fourth is done. */
  private static final int LOAD = 1_000;
  private static final int LOADS = 7;
  private static final int PARTITIONS = 4;
  private static final int REPLICAS = 3;
  private static final int MEMBERS = 3;
  private static final String STATES = "__share_group_state";

  private final Cluster cluster;
  private final Admin admin;
  private final String topic;
  private final String group;
  private final ShareMembers members;

  private ShareCluster(String bootstrap) throws Exception {
    cluster = new Cluster(bootstrap);
    admin = cluster.admin();
    var shares = new Shares(cluster);
    topic = cluster.topic("share-cluster", PARTITIONS);
    group = shares.group("share.record.lock.duration.ms", "1000", "share.delivery.count.limit", "10");
    members = new ShareMembers(shares, group, topic, MEMBERS);
  }

  public static void main(String[] args) throws Exception {
    new ShareCluster(args[0]).run();
    System.exit(0);
  }

  /** A broker whose death is felt. */
  private interface Victim {
    int broker() throws Exception;
  }

  private void run() throws Exception {
    System.out.println("group " + group);
    lose("the leader of a partition", () -> leader(topic));
    lose("the share coordinator", () -> leader(STATES));
    lose("the group coordinator", this::groupCoordinator);
    work("the preferred replicas are to lead again");
    elect();
    int records = LOAD * LOADS;
    members.end(records);
    int last = leader(STATES);
    kill(last);
    start(last);
    members.nothingIsLeft(Duration.ofSeconds(3));
    System.out.printf("%d records: %d done with, %d said to be without an answer, none again%n",
        records, members.done(), records - members.done());
  }

  /** Kills a broker in the midst of work, and has it come back in the midst of what the others go on with. */
  private void lose(String what, Victim victim) throws Exception {
    work(what + " is killed");
    int id = victim.broker();
    kill(id);
    work("it comes back");
    start(id);
  }

  /** More comes, a part of which is done when this ends. */
  private void work(String then) throws Exception {
    int wanted = members.done() + LOAD / 4;
    cluster.fill(topic, LOAD);
    Scenarios.await(wanted + " records are done with", () -> members.done() >= wanted);
    System.out.printf("%s after %d records%n", then, members.done());
  }

  private void kill(int id) throws Exception {
    System.out.println("kill " + id);
    Scenarios.await("others lead what broker " + id + " led",
        () -> everywhere(partition -> partition.leader() != null && partition.leader().id() != id));
  }

  private void start(int id) throws Exception {
    System.out.println("start " + id);
    Scenarios.await("broker " + id + " is back", () -> everywhere(partition -> partition.isr().size() == REPLICAS));
  }

  private void elect() throws Exception {
    System.out.println("elect");
    Scenarios.await("the preferred replicas lead", () -> everywhere(
        partition -> partition.leader() != null && partition.leader().id() == partition.replicas().get(0).id()));
  }

  private int leader(String of) throws Exception {
    return admin.describeTopics(List.of(of)).allTopicNames().get().get(of).partitions().get(0).leader().id();
  }

  private int groupCoordinator() throws Exception {
    return admin.describeShareGroups(List.of(group)).all().get().get(group).coordinator().id();
  }

  /** Whether something holds for every partition of the cluster. */
  private boolean everywhere(Predicate<TopicPartitionInfo> holds) {
    try {
      var names = admin.listTopics(new ListTopicsOptions().listInternal(true)).names().get();
      return admin.describeTopics(names).allTopicNames().get().values().stream()
          .flatMap(found -> found.partitions().stream()).allMatch(holds);
    } catch (java.util.concurrent.ExecutionException passing) {
      // Asked of a broker that is no more.
      return false;
    } catch (InterruptedException stopped) {
      throw new AssertionError(stopped);
    }
  }
}
